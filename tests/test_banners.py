"""Every page of the desk says whether telephones ring and what keeps calls from going out."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calls import dialer
from calls.dialer import account, gate
from tests.factories import make_call

pytestmark = pytest.mark.django_db
SignIn = Callable[[User], Client]
RESUME = "/admin/calling/resume/"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def dialer_runs() -> None:
    gate.beat("dialer-1", "dialer", now=timezone.now())


def banners(client: Client, path: str = "/admin/calls/lead/") -> set[str]:
    cache.clear()
    return set(re.findall(r'id="banner-([a-z-]+)"', client.get(path).content.decode()))


def test_a_desk_in_good_order_with_real_telephones_says_nothing(
    sales: User, sign_in: SignIn, settings: LazySettings, dialer_runs: None
) -> None:
    settings.RETELL_BASE_URL = "https://api.retellai.com"
    settings.RULE_PACK = "some-pack"
    assert banners(sign_in(sales)) == set()


def test_the_sandbox_and_a_missing_rule_pack_are_told(
    sales: User, sign_in: SignIn, settings: LazySettings, dialer_runs: None
) -> None:
    settings.RETELL_BASE_URL = "http://127.0.0.1:9001"
    settings.RULE_PACK = "none"
    client = sign_in(sales)
    for path in ("/admin/", "/admin/calls/call/", "/admin/password_change/"):
        assert banners(client, path) == {"sandbox", "no-rule-pack"}


def test_a_dialer_silent_for_forty_seconds_is_told(sales: User, sign_in: SignIn) -> None:
    client = sign_in(sales)
    assert "no-dialer" in banners(client)
    gate.beat("dialer-1", "dialer", now=timezone.now() - timedelta(seconds=41))
    assert "no-dialer" in banners(client)
    gate.beat("dialer-1", "dialer", now=timezone.now() - timedelta(seconds=30))
    assert "no-dialer" not in banners(client)


def test_an_account_that_is_refused_is_told_in_their_words(
    sales: User, sign_in: SignIn, dialer_runs: None
) -> None:
    account.account_refused("No valid payment method <b>on file</b>", code="billing", now=timezone.now())
    page = sign_in(sales).get("/admin/calls/lead/").content.decode()
    assert 'id="banner-account"' in page
    assert "No valid payment method &lt;b&gt;on file&lt;/b&gt;" in page


def test_a_phone_company_that_does_not_reach_us_is_told_with_the_cause(
    sales: User, sign_in: SignIn, dialer_runs: None
) -> None:
    for _ in range(3):
        make_call("placed", now=timezone.now() - timedelta(minutes=3))
    page = sign_in(sales).get("/admin/calls/lead/").content.decode()
    assert 'id="banner-unreachable"' in page
    assert "PUBLIC_BASE_URL" in page


def test_a_stop_says_by_whom_and_why_and_offers_to_resume_to_those_who_may(
    sales: User, manager: User, sign_in: SignIn, dialer_runs: None
) -> None:
    dialer.stop(by=sales, reason="wrong <price> in the script", now=timezone.now())
    page = sign_in(sales).get("/admin/").content.decode()
    assert 'id="banner-stopped"' in page
    assert "By ana" in page
    assert "wrong &lt;price&gt; in the script" in page
    assert "See what is left" in page
    assert "Resume calling…" in sign_in(manager).get("/admin/").content.decode()


def test_resuming_takes_the_banner_away_at_once(manager: User, sign_in: SignIn, dialer_runs: None) -> None:
    made = dialer.stop(by=manager, reason="a drill", now=timezone.now())
    client = sign_in(manager)
    assert "stopped" in banners(client)
    client.post(RESUME, {"stop": made.pk, "reason": "over"})
    assert 'id="banner-stopped"' not in client.get("/admin/calls/call/").content.decode()


def test_resuming_needs_a_form(manager: User, sign_in: SignIn, client: Client) -> None:
    made = dialer.stop(by=manager, reason="a drill", now=timezone.now())
    assert client.post(RESUME, {"stop": made.pk, "reason": "x"}).status_code == 302  # to the login
    assert sign_in(manager).get(RESUME).status_code == 405
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(manager)
    assert careful.post(RESUME, {"stop": made.pk, "reason": "x"}).status_code == 403
    assert dialer.stop_state().stopped


def test_the_login_page_tells_strangers_nothing(client: Client) -> None:
    dialer.stop(by=None, reason="secret reason", now=timezone.now())
    page = client.get("/admin/login/").content.decode()
    assert "banner-" not in page
    assert "secret reason" not in page


def test_banners_cost_a_few_short_queries_every_five_seconds(sales: User, sign_in: SignIn) -> None:
    client = sign_in(sales)
    client.get("/admin/password_change/")
    with CaptureQueriesContext(connection) as kept:
        client.get("/admin/password_change/")
    cache.clear()
    with CaptureQueriesContext(connection) as fresh:
        client.get("/admin/password_change/")
    assert len(fresh) - len(kept) <= 13
