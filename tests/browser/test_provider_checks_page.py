"""The page of the phone company's checks: looked at anew with one press, on a telephone, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User

from calls.models import ProviderCheck
from tests import factories

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from agents.sandbox.server import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_manager_looks_anew_without_scripts_and_reads_what_to_do(
    manager: User,
    open_page: Callable[..., Page],
    sandbox: Sandbox,
    axe: Callable[..., None],
    pictures: Path | None,
) -> None:
    factories.make_number(number="+14155550199", label="Moved away")
    page = open_page(manager, viewport={"width": 390, "height": 844}, java_script_enabled=False)
    page.goto("/admin/calling/checks/")
    page.get_by_text("Nobody has looked yet").wait_for()
    page.get_by_role("button", name="Look now").click()
    page.get_by_text("does not have +1 415-555-0199").wait_for()
    assert ProviderCheck.objects.get(code="caller_ids").level == "red"
    for scheme in ("light", "dark"):
        page = open_page(manager, viewport={"width": 390, "height": 844}, color_scheme=scheme)
        page.goto("/admin/calling/checks/")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        axe(page)
        if pictures:
            page.screenshot(path=pictures / f"provider-checks-{scheme}.png", full_page=True)
