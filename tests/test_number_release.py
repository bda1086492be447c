"""Giving a number up: while people ring back it is warned of; an administrator goes on, with a reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.models import PhoneNumber
from agents.providers.base import InboundAsk
from calls import dialer, releasing
from calls.lifecycle.inbound import answer_inbound
from calls.models import Call, CallStatus, Direction, NumberRamp, NumberStanding, RampPlan
from calls.releasing import RING_BACK, StillInUse, Use, use_of, why_not_release
from tests import factories

pytestmark = [pytest.mark.django_db]
SignIn = Callable[[User], Client]
LIST = "/admin/agents/phonenumber/"
NOW = factories.at("2026-03-31 12:00")


@pytest.fixture
def number() -> PhoneNumber:
    return factories.make_number(number="+14155550101", label="Sales")


def called(number: PhoneNumber, when: datetime, **fields: object) -> Call:
    return factories.make_call(
        CallStatus.ENDED,
        now=when,
        our_number=number.number,
        lead=None,
        **fields,  # type: ignore[arg-type]
    )


def give_up(number: PhoneNumber) -> str:
    return f"{LIST}{number.pk}/give-up/"


@pytest.mark.parametrize(
    ("last_out", "last_in", "warned"),
    [
        (None, None, False),
        (timedelta(days=1), None, True),
        (None, timedelta(days=1), True),
        (timedelta(days=29, hours=23), None, True),
        (RING_BACK, None, False),
        (RING_BACK, timedelta(days=3), True),
        (timedelta(days=300), timedelta(days=200), False),
    ],
)
def test_for_thirty_days_after_the_last_call_people_may_ring_back(
    last_out: timedelta | None, last_in: timedelta | None, warned: bool
) -> None:
    use = Use(last_out=last_out and NOW - last_out, last_in=last_in and NOW - last_in)
    assert bool(why_not_release(use, now=NOW)) is warned


def test_the_warning_says_when_how_many_and_what_would_happen() -> None:
    text = why_not_release(Use(last_out=factories.at("2026-03-20 09:00"), called=143), now=NOW)
    assert "Its last call was on 20 Mar 2026." in text
    assert "143 different numbers were called from it in the last 30 days." in text
    assert "whoever is given this number next would get their calls" in text


def test_the_use_of_a_number_is_its_own_and_each_callee_counts_once(number: PhoneNumber) -> None:
    called(number, NOW - timedelta(days=2), counterpart="+14155550111")
    called(number, NOW - timedelta(days=3), counterpart="+14155550111")
    called(number, NOW - timedelta(days=4), counterpart="+14155550112")
    called(number, NOW - timedelta(days=40), counterpart="+14155550113")
    called(number, NOW - timedelta(days=1), counterpart="+14155550114", refusal_code="invalid_number")
    called(number, NOW - timedelta(hours=3), counterpart="+14155550115", direction=Direction.INBOUND)
    called(factories.make_number(), NOW, counterpart="+14155550116")
    factories.make_call(CallStatus.QUEUED, our_number=number.number, now=NOW)
    use = use_of(number.number, now=NOW)
    assert use == Use(
        last_out=NOW - timedelta(days=2), last_in=NOW - timedelta(hours=3), called=2, not_over=1
    )
    assert use_of("+14155550199", now=NOW) == Use()


@pytest.mark.parametrize("how", [releasing.retire, releasing.remove])
@pytest.mark.parametrize(
    ("anyway", "reason", "goes"),
    [(False, "", False), (True, " ", False), (False, "x", False), (True, "x", True)],
)
def test_nobody_goes_on_against_the_warning_without_leave_and_reason(
    how: Callable[..., None], anyway: bool, reason: str, goes: bool, number: PhoneNumber
) -> None:
    called(number, NOW - timedelta(days=2))
    if goes:
        how(number, reason=reason, anyway=anyway, now=NOW)
    else:
        with pytest.raises(StillInUse, match="29 Mar 2026"):
            how(number, reason=reason, anyway=anyway, now=NOW)
    assert PhoneNumber.objects.usable().filter(number="+14155550101").exists() is not goes


def test_a_retired_number_is_no_caller_id_and_is_answered_as_before(number: PhoneNumber) -> None:
    agent = factories.make_agent(default_caller_id=number)
    PhoneNumber.objects.update(inbound_agent=agent)
    releasing.retire(number, reason="", anyway=False, now=NOW)
    with pytest.raises(dialer.NoCallerId):
        dialer.caller_id_for(agent)
    ring = InboundAsk(
        from_number="+14155550177", to_number=number.number, provider_call_id="c1", provider_agent_id=None
    )
    assert answer_inbound(ring, now=NOW).provider_agent_id == agent.provider_agent_id


def test_what_is_removed_leaves_its_calls_and_takes_what_is_its_alone(number: PhoneNumber) -> None:
    call = called(number, NOW - timedelta(days=90))
    agent = factories.make_agent(default_caller_id=number)
    NumberStanding.objects.create(number=number, item="carriers", state="not_needed", noted_at=NOW)
    dialer.ramp.set_plan(number, RampPlan.USUAL, now=timezone.now())
    releasing.remove(number, reason="", anyway=False, now=NOW)
    agent.refresh_from_db()
    assert agent.default_caller_id is None
    assert not NumberStanding.objects.exists()
    assert not NumberRamp.objects.exists()
    assert Call.objects.get(pk=call.pk).our_number == "+14155550101"


@pytest.mark.parametrize("status", [CallStatus.QUEUED, CallStatus.UNCONFIRMED, CallStatus.IN_PROGRESS])
def test_a_number_with_calls_that_are_not_over_is_not_removed(status: str, number: PhoneNumber) -> None:
    factories.make_call(status, our_number=number.number, now=NOW)
    with pytest.raises(StillInUse, match="not over"):
        releasing.remove(number, reason="all the same", anyway=True, now=NOW)
    assert PhoneNumber.objects.filter(pk=number.pk).exists()


class TestPage:
    def test_a_manager_is_warned_and_may_not_go_on(
        self, number: PhoneNumber, manager: User, sign_in: SignIn
    ) -> None:
        called(number, timezone.now() - timedelta(days=2))
        client = sign_in(manager)
        assert give_up(number) in client.get(f"{LIST}{number.pk}/change/").content.decode()
        page = client.get(give_up(number)).content.decode()
        assert "1 number was called from it in the last 30 days." in page
        assert "Only an administrator may go on, with a reason." in page
        assert 'name="do"' not in page
        answer = client.post(give_up(number), {"do": "retire", "reason": "spam"})
        assert answer.status_code == 200
        assert client.post(give_up(number), {"do": "remove", "reason": "spam"}).status_code == 403
        assert PhoneNumber.objects.usable().filter(pk=number.pk).exists()
        assert not LogEntry.objects.exists()

    def test_an_administrator_goes_on_with_a_reason_that_is_kept(
        self, number: PhoneNumber, administrator: User, sign_in: SignIn
    ) -> None:
        called(number, timezone.now() - timedelta(days=2))
        factories.make_agent(name="<b>Ava</b>", default_caller_id=number)
        client = sign_in(administrator)
        page = client.get(give_up(number)).content.decode()
        assert "&lt;b&gt;Ava&lt;/b&gt; calls from it" in page
        page = client.post(give_up(number), {"do": "retire", "reason": " "}).content.decode()
        assert "A reason is needed." in page
        assert PhoneNumber.objects.usable().filter(pk=number.pk).exists()
        page = client.post(give_up(number), {"do": "retire", "reason": "labelled as spam"}, follow=True)
        assert "no caller ID any more" in page.content.decode()
        assert not PhoneNumber.objects.usable().filter(pk=number.pk).exists()
        assert LogEntry.objects.get().change_message == "retired as caller ID: labelled as spam"

    def test_without_recent_calls_a_manager_retires_it_and_takes_it_back(
        self, number: PhoneNumber, manager: User, sign_in: SignIn
    ) -> None:
        called(number, timezone.now() - timedelta(days=31))
        client = sign_in(manager)
        assert "hardly anybody rings back" in client.get(give_up(number)).content.decode()
        page = client.post(give_up(number), {"do": "retire"}, follow=True).content.decode()
        assert "Call from it again" in page
        assert not PhoneNumber.objects.usable().filter(pk=number.pk).exists()
        client.post(f"{LIST}{number.pk}/use-again/")
        assert PhoneNumber.objects.usable().filter(pk=number.pk).exists()
        assert LogEntry.objects.count() == 2

    def test_the_form_itself_retires_nothing(
        self, number: PhoneNumber, administrator: User, sign_in: SignIn
    ) -> None:
        called(number, timezone.now())
        sign_in(administrator).post(f"{LIST}{number.pk}/change/", {"label": "Desk", "line": "default"})
        number.refresh_from_db()
        assert (number.label, number.active) == ("Desk", True)

    def test_what_the_phone_company_still_has_is_not_removed(
        self, number: PhoneNumber, administrator: User, sign_in: SignIn
    ) -> None:
        PhoneNumber.objects.update(last_synced_at=timezone.now())
        client = sign_in(administrator)
        page = client.get(give_up(number)).content.decode()
        assert "once the phone company no longer has it" in page
        assert 'value="remove"' not in page
        assert client.post(give_up(number), {"do": "remove", "reason": "x"}).status_code == 403
        PhoneNumber.objects.update(gone_since=timezone.now())
        page = client.post(give_up(number), {"do": "remove", "reason": "sold"}, follow=True).content.decode()
        assert "is no longer one of our numbers" in page
        assert not PhoneNumber.objects.exists()
        entry = LogEntry.objects.get()
        assert (entry.action_flag, entry.change_message) == (DELETION, "removed: sold")
        assert "+1 415-555-0101" in entry.object_repr

    def test_calls_that_are_not_over_keep_it_and_say_so(
        self, number: PhoneNumber, administrator: User, sign_in: SignIn
    ) -> None:
        factories.make_call(CallStatus.QUEUED, our_number=number.number)
        client = sign_in(administrator)
        assert "1 call from it waits or is on." in client.get(give_up(number)).content.decode()
        page = client.post(give_up(number), {"do": "remove", "reason": "sold"}).content.decode()
        assert "1 call from it is not over yet." in page
        assert 'value="sold"' in page
        assert PhoneNumber.objects.exists()

    def test_sales_staff_give_nothing_up(self, number: PhoneNumber, sales: User, sign_in: SignIn) -> None:
        client = sign_in(sales)
        assert "/give-up/" not in client.get(f"{LIST}{number.pk}/change/").content.decode()
        for path in (give_up(number), f"{LIST}{number.pk}/use-again/"):
            assert client.post(path, {"do": "retire"}).status_code == 403
        assert client.get(give_up(number)).status_code == 403
