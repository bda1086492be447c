"""*Check* of one number tells which of the known failures it is: one line is red, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from number_setup_world import SECOND, World
from twilio_wire import OURS

from agents.models import NumberSetup, PhoneNumber
from agents.providers.registry import get_provider
from agents.providers.retell import RetellProvider
from agents.readiness import Check, Level
from agents.sandbox.server import Sandbox
from calls import provider_checks
from calls.models import CallStatus, Outcome
from tests import factories

pytestmark = pytest.mark.django_db
Break = Callable[[World, NumberSetup], object]


@pytest.fixture
def world(start_sandbox: Callable[..., Sandbox], manager: User) -> Iterator[World]:
    world = World(start_sandbox(speed=100.0, seed=7), manager)
    yield world
    world.close()


def found(row: PhoneNumber, provider: Any = None) -> dict[str, Check]:
    checks = provider_checks.look_at_number(row, provider or get_provider(), now=timezone.now())
    codes = [check.code for check in checks]
    assert codes == [code for code in provider_checks.NUMBER_TITLES if code in codes], "each once, in order"
    assert [check for check in checks if check.level != Level.GREEN and not check.what_to_do] == []
    return {check.code: check for check in checks}


def reds(checks: dict[str, Check]) -> set[str]:
    return {code for code, check in checks.items() if check.level == Level.RED}


def at_retell(**changes: Any) -> Break:
    return lambda world, setup: world.sandbox.account.change_number(OURS, changes)


def trunk_at_retell(**changes: str) -> Break:
    return lambda world, setup: world.sandbox.account.change_number(OURS, {}, changes)


def origin(**changes: Any) -> Break:
    return lambda world, setup: world.trunks.change_origination_url(
        setup.trunk_sid, setup.origination_sid, **changes
    )


def another_trunk(world: World, setup: NumberSetup) -> None:
    trunk = world.trunks.create_trunk(label="Other", domain="other-1.pstn.twilio.com")
    world.trunks.detach_number(setup.trunk_sid, setup.number_sid)
    world.trunks.attach_number(trunk.sid, setup.number_sid)
    world.trunks.create_origination_url(trunk.sid, label="Retell")


def denied(world: World, setup: NumberSetup) -> None:
    factories.make_call(
        status=CallStatus.ENDED,
        our_number=OURS,
        agent=setup.outbound_agent,
        outcome=Outcome.FAILED,
        fault="number",
        answered_at=None,
        answered_by="",
        duration_ms=None,
    )


FAILURES: dict[str, tuple[Break, str, str]] = {
    "not at Retell": (lambda world, setup: get_provider().remove_number(OURS), "retell", "reach nobody"),
    "no such domain": (
        trunk_at_retell(termination_uri="typo.pstn.twilio.com"),
        "termination",
        "typo.pstn.twilio.com",
    ),
    "not in the account": (
        lambda world, setup: world.sandbox.twilio.holdings.numbers.pop(setup.number_sid),
        "at_twilio",
        "does not have it",
    ),
    "on no trunk": (
        lambda world, setup: world.twilio.change_number(setup.number_sid, voice_url="https://x.example.com/"),
        "attached",
        "https://x.example.com/",
    ),
    "on another trunk": (another_trunk, "attached", "other-1.pstn.twilio.com"),
    "no credentials on the trunk": (
        lambda world, setup: world.trunks.detach_list(setup.trunk_sid, setup.list_sid),
        "credentials",
        "takes no call",
    ),
    "another user": (trunk_at_retell(auth_username="somebody"), "credentials", "“somebody”"),
    "no address for calls in": (origin(enabled=False), "origination", "Nowhere"),
    "a wrong host": (origin(sip_url="sip:elsewhere.example.com"), "origination", "elsewhere.example.com"),
    "nobody answers": (at_retell(inbound_agents=None), "agents", "cut off"),
    "somebody else is asked": (
        at_retell(inbound_webhook_url="https://elsewhere.example.com/"),
        "webhook",
        "elsewhere.example.com",
    ),
    "nothing to fall back to": (at_retell(fallback_number=None), "fallback", "cut off"),
    "a closed country": (
        lambda world, setup: world.sandbox.control("settings", closed_countries=["US"]),
        "geo",
        "US",
    ),
    "the trunk would not take the last call": (denied, "last_out", "password"),
}


def test_a_number_in_good_order_has_no_red_line_and_says_what_nobody_knows(world: World) -> None:
    setup = world.until("import")
    checks = found(world.row(setup))
    assert set(checks) == set(provider_checks.NUMBER_TITLES)
    assert {code for code, check in checks.items() if check.level != Level.GREEN} == {"last_out", "last_in"}
    assert "only a call tells" in checks["last_out"].sentence


@pytest.mark.parametrize("name", FAILURES)
def test_each_known_failure_is_told_apart(world: World, name: str) -> None:
    broken, code, told = FAILURES[name]
    setup = world.until("import")
    broken(world, setup)
    checks = found(world.row(setup))
    assert code in reds(checks)
    # What hangs on it may be wrong too; nothing that comes before it is.
    first = next(each for each in provider_checks.NUMBER_TITLES if each in reds(checks))
    assert first == code
    assert told in f"{checks[code].sentence} {checks[code].what_to_do}"


def test_a_token_that_twilio_refuses_is_one_line_and_what_retell_says_is_still_told(
    world: World, settings: LazySettings
) -> None:
    setup = world.until("import")
    settings.TWILIO_AUTH_TOKENS = ["another"]
    checks = found(world.row(setup))
    assert reds(checks) == {"account"}
    assert "TWILIO_AUTH_TOKEN" in checks["account"].what_to_do
    assert "termination" not in checks
    assert checks["agents"].level == Level.GREEN


def test_who_cannot_be_asked_is_no_failure(world: World, settings: LazySettings) -> None:
    setup = world.until("import")
    away = RetellProvider(base_url="http://127.0.0.1:9", api_key="key_x", ask_deadline_s=0.2)
    settings.TWILIO_BASE_URL = "http://127.0.0.1:9"
    checks = found(world.row(setup), away)
    assert reds(checks) == set()
    assert {checks["retell"].level, checks["account"].level} == {Level.AMBER}
    away.close()


def test_what_could_be_better_on_a_trunk_of_ones_own_is_a_warning(world: World) -> None:
    world.sync()
    london = PhoneNumber.objects.get(number="+442079460990")
    checks = found(london)
    # By address alone, no transfers, nothing to fall back to; it was never set up here.
    assert {"credentials", "transfers", "fallback"} <= {
        code for code, check in checks.items() if check.level == Level.AMBER
    }
    assert "fallback" not in reds(checks)


def test_a_number_that_was_bought_at_retell_needs_no_trunk(world: World) -> None:
    world.sync()
    checks = found(PhoneNumber.objects.get(number="+12125550190"))
    assert "no trunk" in checks["termination"].sentence
    assert "attached" not in checks


def test_the_page_looks_when_it_is_asked_and_not_before(
    world: World, sign_in: Callable[[User], Client], sales: User, manager: User
) -> None:
    setup = world.until("import")
    page = f"/admin/agents/phonenumber/{world.row(setup).pk}/check/"
    world.trunks.detach_list(setup.trunk_sid, setup.list_sid)
    client = sign_in(manager)
    assert "check-credentials" not in client.get(page).text
    assert "it takes no call" in client.post(page).text
    assert sign_in(sales).post(page).status_code == 403
    assert SECOND not in client.get("/admin/agents/phonenumber/").text
