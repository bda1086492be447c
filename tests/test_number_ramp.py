"""What a new number may call in its first weeks: its steps, held under the claim's lock, and what waits."""

from __future__ import annotations

import threading
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, PhoneNumber
from calls import dialer
from calls.api.keys import make_key
from calls.dialer import caps, gate, ramp
from calls.dialer.claim import Nothing, claim_next, claim_some
from calls.dialer.place import place
from calls.dialer.ramp import Step
from calls.models import Call, CallStatus, Gate, NumberRamp, Priority, RampPlan, Via
from calls.models.clock import database_now
from tests import factories
from tests.far_end import FarEnd, says
from tests.test_claiming import waiting_call
from tests.two_dialers import two_dialers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
STEPS = (Step(2, 10), Step(3, 20))


@pytest.fixture(autouse=True)
def _a_fast_line(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 200.0


@pytest.fixture
def agent() -> Agent:
    return factories.make_agent()


def number_of(agent: Agent) -> PhoneNumber:
    assert agent.default_caller_id is not None
    return agent.default_caller_id


def ramped(agent: Agent, calls: int, *, days: int = 7) -> PhoneNumber:
    """The agent's number may make so many calls a day."""
    number = number_of(agent)
    assert ramp.set_plan(number, RampPlan.OWN, own_steps=[Step(days, calls)], now=timezone.now())
    return number


def go(far: FarEnd | None = None) -> Call | Nothing:
    """Claim and place one call."""
    far = far or FarEnd()
    Gate.objects.filter(kind="line").update(next_slot_at=None, closed_until=None)
    call = claim_next(far.provider())
    if isinstance(call, Call):
        place(call, far.provider())
    return call


def claims() -> int:
    count = 0
    while isinstance(go(), Call):
        count += 1
    return count


def sent(number: PhoneNumber, when: datetime, **fields: Any) -> Call:
    return factories.make_call(CallStatus.ENDED, now=when, our_number=number.number, **fields)


@pytest.mark.parametrize(
    ("day", "most"), [(0, 10), (1, 10), (2, 10), (3, 20), (5, 20), (6, None), (400, None)]
)
def test_each_step_holds_for_its_days_and_after_the_last_there_is_no_limit(
    day: int, most: int | None
) -> None:
    assert ramp.most_on(day, STEPS) == most


def test_the_usual_steps_rise_and_stay_below_what_a_new_number_bears() -> None:
    calls = [step.calls for step in ramp.USUAL_STEPS]
    assert calls == sorted(calls)
    assert max(calls) < 170
    assert ramp.length(ramp.USUAL_STEPS) == 21


def test_day_one_is_the_day_of_the_first_call() -> None:
    assert ramp.day_number(None, date(2026, 3, 9)) == 0
    assert ramp.day_number(date(2026, 3, 9), date(2026, 3, 9)) == 1
    assert ramp.day_number(date(2026, 3, 9), date(2026, 3, 14)) == 6


def test_a_number_makes_its_calls_of_the_day_and_no_more_and_others_go_on(agent: Agent) -> None:
    number, other = ramped(agent, 3), factories.make_agent()
    for _ in range(5):
        waiting_call(agent=agent)
    for _ in range(2):
        waiting_call(agent=other)
    assert claims() == 5
    left = Call.objects.filter(status=CallStatus.QUEUED)
    assert [call.our_number for call in left] == [number.number] * 2
    state = ramp.states(now=timezone.now())[number.number]
    assert (state.day, state.days, state.most, state.used, state.full) == (1, 7, 3, 3, True)


def test_a_bunch_holds_no_more_than_the_number_may_still_make(agent: Agent) -> None:
    ramped(agent, 3)
    theirs = [waiting_call(agent=agent) for _ in range(5)]
    others = [waiting_call() for _ in range(2)]
    found = claim_some(FarEnd().provider(), most=16)
    assert isinstance(found, list)
    assert {call.pk for call in found} == {call.pk for call in [*theirs[:3], *others]}


def test_what_waits_says_which_number_and_when_the_next_goes_out(agent: Agent) -> None:
    number = ramped(agent, 1)
    waiting_call(agent=agent), waiting_call(agent=agent)
    assert claims() == 1
    now = timezone.now()
    gate.beat("dialer-1", "dialer", now=now)
    waits = dialer.waiting(Call.objects.get(status=CallStatus.QUEUED), now=now)
    assert waits is not None
    assert (waits.code, waits.until) == ("number_cap", caps.day_ends(now))
    assert f"+1 {number.number[2:5]}-555-" in waits.text
    assert "has made its 1 calls of today, day 1 of its first 7" in waits.text
    summary = dialer.queue_summary(now=now)
    assert [(code, count) for code, _text, count in summary] == [("number_cap", 1)]
    assert len(dialer.waiting_for("number_cap", now=now, calls=Call.objects.all())) == 1


def test_what_was_put_back_or_refused_is_not_counted(agent: Agent) -> None:
    number = ramped(agent, 2)
    waiting_call(agent=agent)
    go(FarEnd([says(429, "slow")]))
    go(FarEnd([says(400, "to_number is not a valid E.164 phone number")]))
    assert NumberRamp.objects.get().day_calls == 2
    for _ in range(4):
        waiting_call(agent=agent)
    assert claims() == 2
    assert ramp.states(now=timezone.now())[number.number].used == 2


def test_on_the_next_day_it_goes_on_with_the_next_step(agent: Agent) -> None:
    number = number_of(agent)
    ramp.set_plan(number, RampPlan.OWN, own_steps=[Step(1, 2), Step(1, 3)], now=timezone.now())
    for _ in range(9):
        waiting_call(agent=agent)
    assert claims() == 2
    a_day_back(1)
    assert ramp.states(now=timezone.now())[number.number].day == 2
    assert claims() == 3
    a_day_back(1)
    assert number.number not in ramp.states(now=timezone.now())
    assert claims() == 4
    assert NumberRamp.objects.get().over


def a_day_back(days: int) -> None:
    """All that was, as if it had been so many days ago."""
    for call in Call.objects.exclude(sent_at=None):
        assert call.sent_at is not None
        Call.objects.filter(pk=call.pk).update(sent_at=call.sent_at - timedelta(days=days))
    for row in NumberRamp.objects.all():
        back = {
            name: getattr(row, name) and getattr(row, name) - timedelta(days=days)
            for name in ("day", "day_one")
        }
        NumberRamp.objects.filter(pk=row.pk).update(**back)


def test_a_first_day_on_which_nothing_was_sent_is_none(agent: Agent) -> None:
    ramped(agent, 3)
    waiting_call(agent=agent)
    go(FarEnd([says(429, "slow")]))
    assert NumberRamp.objects.get().day_one is not None
    a_day_back(1)
    assert isinstance(go(), Call)
    assert NumberRamp.objects.get().day_one == caps.day_of(timezone.now())[0]


class TestAnotherNumber:
    def test_where_nobody_said_which_the_rest_goes_out_from_the_other_number(self, agent: Agent) -> None:
        full, other = ramped(agent, 2), factories.make_number(line="second")
        for _ in range(4):
            waiting_call(agent=agent, number_given=False)
        assert claims() == 4
        assert sorted(Call.objects.values_list("our_number", "line")) == sorted(
            [(full.number, "default")] * 2 + [(other.number, "second")] * 2
        )

    def test_the_request_that_is_sent_names_the_other_number(self, agent: Agent) -> None:
        ramped(agent, 1)
        other = factories.make_number()
        waiting_call(agent=agent, number_given=False), waiting_call(agent=agent, number_given=False)
        go()
        call = go()
        assert isinstance(call, Call)
        assert other.number.encode() in bytes(call.request_body or b"")

    def test_a_number_that_was_asked_for_is_kept_and_waited_for(self, agent: Agent) -> None:
        full = ramped(agent, 1)
        factories.make_number()
        for _ in range(2):
            waiting_call(agent=agent, number_given=True)
        assert claims() == 1
        assert set(Call.objects.values_list("our_number", flat=True)) == {full.number}

    def test_what_was_claimed_before_keeps_the_number_in_its_request(self, agent: Agent) -> None:
        ramped(agent, 1)
        factories.make_number()
        put_back = waiting_call(agent=agent, number_given=False)
        Call.objects.filter(pk=put_back.pk).update(claimed_at=timezone.now(), request_body=b"{}")
        first = waiting_call(agent=agent, priority=Priority.CALL_BACK)
        assert claims() == 1
        first.refresh_from_db()
        put_back.refresh_from_db()
        assert (first.status, put_back.status) == (CallStatus.PLACED, CallStatus.QUEUED)
        assert put_back.our_number == first.our_number

    @pytest.mark.parametrize("why", ["stopped", "retired", "full", "one of two"])
    def test_no_other_number_is_taken_that_may_not_be(self, agent: Agent, why: str) -> None:
        full, other = ramped(agent, 1), factories.make_number()
        if why == "stopped":
            dialer.stop(by=None, reason="", now=timezone.now(), target=dialer.Target(number=other.number))
        elif why == "retired":
            PhoneNumber.objects.filter(pk=other.pk).update(active=False)
        elif why == "full":
            ramp.set_plan(other, RampPlan.OWN, own_steps=[Step(7, 1)], now=timezone.now())
            sent(other, timezone.now(), agent=agent)
        else:
            factories.make_number()
        for _ in range(2):
            waiting_call(agent=agent, number_given=False)
        assert claims() == 1
        call = Call.objects.get(status=CallStatus.QUEUED)
        assert call.our_number == full.number
        gate.beat("dialer-1", "dialer", now=timezone.now())
        waits = dialer.waiting(call, now=timezone.now())
        assert waits is not None
        assert waits.code == "number_cap"

    def test_until_it_is_moved_it_waits_for_its_turn_and_not_for_tomorrow(self, agent: Agent) -> None:
        ramped(agent, 1)
        factories.make_number()
        for _ in range(2):
            waiting_call(agent=agent, number_given=False)
        go()
        gate.beat("dialer-1", "dialer", now=timezone.now())
        waits = dialer.waiting(Call.objects.get(status=CallStatus.QUEUED), now=timezone.now())
        assert waits is not None
        assert waits.code == "pace"

    def test_the_number_of_the_environment_comes_first(self, agent: Agent, settings: LazySettings) -> None:
        settings.TWILIO_FROM_NUMBER = "+14155550177"
        full = ramped(agent, 1)
        factories.make_number()
        for _ in range(2):
            waiting_call(agent=agent, number_given=False)
        assert claims() == 2
        assert set(Call.objects.values_list("our_number", flat=True)) == {full.number, "+14155550177"}

    def test_of_each_call_it_is_kept_whether_its_number_was_asked_for(
        self, agent: Agent, sales: User, administrator: User
    ) -> None:
        now, own = timezone.now(), number_of(agent).number

        def asked(**how: Any) -> bool:
            given = {"lead": factories.make_lead(), "agent": agent, "via": Via.DESK, "now": now, **how}
            return dialer.ask(**given).call.number_given

        assert asked() is False
        assert asked(our_number=own) is True
        key, _secret = make_key("robot", ["call"], by=administrator)
        for given in ("", own):
            wanted = dialer.Wanted(
                number=factories.next_number(), agent_id=agent.provider_agent_id, our_number=given
            )
            call = dialer.initiate(wanted, api_key=key, by=administrator, owner=sales, now=now).call
            assert call.number_given is bool(given)


class TestWhichNumbers:
    def test_a_number_that_has_long_been_called_from_has_no_limit_when_it_is_added(
        self, agent: Agent
    ) -> None:
        number, now = number_of(agent), timezone.now()
        sent(number, now - timedelta(days=30))
        assert not ramp.begin(number, now=now)
        assert not NumberRamp.objects.exists()

    def test_a_number_called_from_for_some_days_goes_on_from_there(self, agent: Agent) -> None:
        number, now = number_of(agent), timezone.now()
        sent(number, now - timedelta(days=9))
        sent(number, now - timedelta(days=3))
        assert ramp.begin(number, now=now)
        state = ramp.states(now=now)[number.number]
        assert (state.day, state.days, state.most) == (10, 21, 100)

    def test_an_administrator_starts_an_old_number_anew(self, agent: Agent) -> None:
        number, now = number_of(agent), timezone.now()
        sent(number, now - timedelta(days=300))
        assert ramp.set_plan(number, RampPlan.USUAL, now=now)
        assert not ramp.set_plan(number, RampPlan.USUAL, now=now)
        assert ramp.states(now=now)[number.number].day == 0
        waiting_call(agent=agent)
        assert isinstance(go(), Call)
        assert ramp.states(now=now)[number.number].day == 1

    def test_off_there_is_no_limit_and_no_row_for_what_never_had_one(self, agent: Agent) -> None:
        number, now = number_of(agent), timezone.now()
        assert not ramp.set_plan(number, RampPlan.OFF, now=now)
        assert not NumberRamp.objects.exists()
        ramped(agent, 1)
        for _ in range(3):
            waiting_call(agent=agent)
        assert claims() == 1
        assert ramp.set_plan(number, RampPlan.OFF, now=now)
        assert claims() == 2

    def test_a_lower_limit_holds_at_once_for_what_was_called_today(self, agent: Agent) -> None:
        for _ in range(4):
            waiting_call(agent=agent)
        go(), go()
        ramped(agent, 3)
        assert claims() == 1


def test_without_such_a_number_a_claim_asks_one_question_more_and_with_it_no_more_a_call(
    agent: Agent,
) -> None:
    def statements(calls: int) -> list[str]:
        Call.objects.all().delete()
        for _ in range(calls):
            waiting_call(agent=agent)
        Gate.objects.update(next_slot_at=None)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            found = claim_some(FarEnd().provider(), most=16)
        assert isinstance(found, list)
        assert len(found) == calls
        return [query["sql"] for query in asked if "numberramp" in query["sql"]]

    statements(1)
    assert len(statements(1)) == len(statements(12)) == 1
    ramped(agent, 100)
    statements(1)
    assert len(statements(1)) == len(statements(12)) == 2


@pytest.mark.django_db(transaction=True)
def test_two_dialers_never_make_one_call_too_many_from_a_new_number(agent: Agent) -> None:
    number = ramped(agent, 7)
    for _ in range(12):
        waiting_call(agent=agent)
    waiting_call()
    with two_dialers(until="empty"):
        pass
    made = Call.objects.exclude(sent_at=None)
    assert made.filter(our_number=number.number).count() == 7
    assert made.exclude(our_number=number.number).count() == 1
    assert ramp.states(now=database_now())[number.number].full


@pytest.mark.django_db(transaction=True)
def test_a_limit_set_while_two_dialers_claim_holds_for_every_claim_after_it(agent: Agent) -> None:
    for _ in range(30):
        waiting_call(agent=agent)
    number, now = number_of(agent), timezone.now()
    seen: list[int] = []
    begun = threading.Event()
    with two_dialers(until="empty", placed=begun.set):
        begun.wait(20)
        ramp.set_plan(number, RampPlan.OWN, own_steps=[Step(7, 12)], now=now)
        seen.append(caps.made_since(caps.day_of(now)[1]).filter(our_number=number.number).count())
    made = Call.objects.filter(our_number=number.number).exclude(sent_at=None).count()
    assert made == max(12, seen[0])
