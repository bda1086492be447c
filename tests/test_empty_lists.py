"""A list without rows says why: nothing matches, or what would stand here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("menu", "A menu answers a number"),
        ("carrierrate", "What the carrier takes a minute"),
        ("voicemailmessage", "What is said to a mailbox"),
    ],
)
def test_an_empty_list_says_what_it_is_for(
    administrator: User, sign_in: Callable[[User], Client], path: str, what: str
) -> None:
    page = sign_in(administrator).get(f"/admin/calls/{path}/").text
    assert "Nothing here yet" in page
    assert what in page
    assert "Show all" not in page


def test_a_search_without_a_match_says_so_and_leads_back(
    administrator: User, sign_in: Callable[[User], Client]
) -> None:
    page = sign_in(administrator).get("/admin/calls/menu/", {"q": "nowhere"}).text
    assert "Nothing matches" in page
    assert "A menu answers a number" not in page
    assert '<a href="?"' in page
