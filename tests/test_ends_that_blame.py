"""Ends that blame the account, a line, an AI agent or a caller ID close it, and those of a person do not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.providers.retell_reading import ENDINGS
from calls import dialer
from calls.dialer import account
from calls.dialer.ask import _attempt
from calls.models import Gate, Stop
from calls.models.clock import database_now
from tests import factories
from tests.far_end import FarEnd
from tests.test_claiming import waiting_call
from tests.test_gates import ends, go

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]


@pytest.mark.parametrize(
    ("reason", "spent"),
    [("sip_routing_error", 0), ("error_retell", 0), ("concurrency_limit_reached", 0), ("dial_no_answer", 1)],
)
def test_what_is_nobodys_doing_spends_no_attempt(reason: str, spent: int) -> None:
    call = waiting_call()
    go(FarEnd())
    call.refresh_from_db()
    ends(call, reason)
    assert _attempt(call.lead, call.counterpart) == spent + 1


def test_three_ends_that_blame_a_caller_id_pause_it_and_again_only_after_three_more() -> None:
    number = factories.make_number()
    for n in range(3):
        call = factories.make_call(status="placed", our_number=number.number)
        assert not Stop.objects.exists(), n
        ends(call, "marked_as_spam")
    stop = Stop.objects.in_force().get()
    assert (stop.number, stop.cause) == (number.number, "refused")
    dialer.resume(
        by=None, reason="registered", now=timezone.now(), target=dialer.Target(number=number.number)
    )
    ends(factories.make_call(status="placed", our_number=number.number), "marked_as_spam")
    assert not Stop.objects.in_force().exists()


def test_a_few_blocked_calls_of_many_pause_no_caller_id() -> None:
    number = factories.make_number()
    for _n in range(97):
        factories.make_call("ended", our_number=number.number, ended_at=database_now())
    for _n in range(5):
        ends(factories.make_call(status="placed", our_number=number.number), "marked_as_spam")
    assert not Stop.objects.exists()
    ends(factories.make_call(status="placed", our_number=number.number), "marked_as_spam")
    assert Stop.objects.in_force().get().number == number.number


def test_a_call_that_ended_for_want_of_credit_rests_the_queue_unless_it_is_old_news() -> None:
    ends(factories.make_call(status="placed"), "credit_exhausted", ago=timedelta(hours=3))
    assert account.account_problem() == ""
    ends(factories.make_call(status="placed"), "credit_exhausted")
    assert account.account_state().code == "billing"


def test_a_call_that_ended_for_want_of_room_closes_its_line_for_a_moment() -> None:
    ends(factories.make_call(status="placed", line="a"), "concurrency_limit_reached")
    line = Gate.objects.get(kind="line", name="a")
    assert line.closed_until is not None
    assert line.closed_until > database_now()


def test_every_reason_that_must_be_mended_or_waited_for_names_what() -> None:
    unnamed = {
        reason for reason, ending in ENDINGS.items() if ending.retry in ("fix", "soon") and not ending.fault
    }
    assert unnamed == set()
