"""Whoever writes a call, the moment is written with it: `updated_after` misses no change."""

from __future__ import annotations

import ast
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from agents.providers.base import Accepted
from calls import dialer, dispositions, eligibility
from calls.dialer import place, settle
from calls.lifecycle.facts import store_webhook
from calls.models import Call, CallStatus, Via
from calls.models.clock import database_now
from calls.models.do_not_call import DoNotCallSource
from tests import factories
from tests.api_client import CALLS, Api
from tests.far_end import theirs
from tests.inbox import apply_pending
from tests.test_arrows import SOURCES, TREES

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def aged(call: Call) -> Call:
    """As if nobody had written it for years."""
    Call.objects.filter(pk=call.pk).update(updated_at=LONG_AGO)
    return call


def is_new(call: Call) -> bool:
    return abs(Call.objects.get(pk=call.pk).updated_at - database_now()) < timedelta(minutes=1)


WRITERS: dict[str, Callable[[Call], Any]] = {
    "update": lambda call: Call.objects.filter(pk=call.pk).update(attempt=2),
    "update through a relation": lambda call: call.lead.calls.update(attempt=2) if call.lead else None,
    "save": lambda call: call.save(),
    "save of some columns": lambda call: call.save(update_fields=["attempt"]),
    "update_each": lambda call: Call.objects.update_each([call], ["attempt"]),
    "bulk_update": lambda call: Call.objects.bulk_update([call], ["attempt"]),
    "update_or_create": lambda call: Call.objects.update_or_create(pk=call.pk, defaults={"attempt": 2}),
    "a lead deleted": lambda call: call.lead.delete() if call.lead else None,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_each_way_to_write_a_row_writes_the_moment(write: Callable[[Call], Any]) -> None:
    call = aged(factories.make_call())
    call.refresh_from_db()
    write(call)
    assert is_new(call)


def test_a_call_is_born_with_its_moment() -> None:
    call = factories.make_call()
    assert is_new(call)
    copy = Call(counterpart=factories.next_number(), requested_at=LONG_AGO, due_at=LONG_AGO)
    Call.objects.bulk_create([copy])
    assert is_new(copy)


def test_nobody_reaches_around() -> None:
    """What could write a call past its query set: SQL of our own."""
    reached = [
        f"{module}:{node.lineno}"
        for module in SOURCES
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "update calls_call" in node.value.lower().replace('"', "")
    ]
    assert reached == []


def told(call: Call) -> None:
    fields = {"start_timestamp": 1_795_341_600_000, "call_status": "ongoing"}
    body = json.dumps({"event": "call_started", "call": theirs(call.provider_call_id, **fields)}).encode()
    now = database_now()
    store_webhook(body, signature="v=1,d=x", contract="current", now=now)
    apply_pending(now=now)
    assert Call.objects.get(pk=call.pk).status == CallStatus.IN_PROGRESS


def lease_over(call: Call) -> None:
    Call.objects.filter(pk=call.pk).update(lease_until=LONG_AGO, updated_at=LONG_AGO)
    assert settle.recover_next_claim()


def ask_again(call: Call) -> None:
    assert call.agent
    assert dialer.ask(lead=call.lead, agent=call.agent, via=Via.DESK, now=database_now()).adopted


def opted_out(call: Call) -> None:
    source = DoNotCallSource.API
    eligibility.opt_out(call.counterpart, reason="Wrote to us", source=source, now=database_now())


def judged(call: Call) -> None:
    user = User.objects.create(username="bo")
    dispositions.set_disposition(call, "interested", by=user, now=database_now())


VERBS: dict[str, tuple[str, Callable[[Call], Any]]] = {
    "taken over": ("queued", ask_again),
    "cancelled": ("queued", lambda call: dialer.cancel(call, reason="no", now=database_now())),
    "cancelled while placed": ("placed", lambda call: dialer.cancel(call, reason="no", now=database_now())),
    "opted out": ("queued", opted_out),
    "permitted": ("dialing", lambda call: place.permit(call.pk, call.place_token or uuid.uuid4())),
    "accepted": (
        "dialing",
        lambda call: place.accepted(call.pk, Accepted(provider_call_id="call_1", body=b"{}")),
    ),
    "lease over": ("dialing", lease_over),
    "hung up": ("in_progress", lambda call: dialer.hang_up(call, by=None, now=database_now())),
    "told": ("placed", told),
    "judged": ("ended", judged),
}


@pytest.mark.parametrize(("status", "act"), VERBS.values(), ids=VERBS)
def test_a_poller_sees_what_a_verb_did(status: str, act: Callable[[Call], Any]) -> None:
    api, call = Api(), aged(factories.make_call(status))
    since = {"updated_after": (database_now() - timedelta(minutes=1)).isoformat()}
    assert api.get(CALLS, since).json()["results"] == []
    act(call)
    assert [each["id"] for each in api.get(CALLS, since).json()["results"]] == [str(call.pk)]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_moment_is_that_of_the_write_and_not_of_the_transactions_start() -> None:
    """A change is dated when it is made: only its commit can come later, and only by so much."""
    call = aged(factories.make_call())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        began = cursor.fetchone()[0]
        cursor.execute("SELECT pg_sleep(0.05)")
        Call.objects.filter(pk=call.pk).update(attempt=2)
    assert Call.objects.get(pk=call.pk).updated_at - began >= timedelta(milliseconds=50)
