"""Statements that are compiled once, and sent with other values each time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import CharField, DurationField, QuerySet, UUIDField

from calls.models import Call
from calls.models.clock import ClockNow, database_now
from calls.models.prepared import Given, PreparedSelect, PreparedUpdate
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_prepared_question_is_built_once_and_answers_for_what_is_given() -> None:
    built: list[int] = []

    def one() -> QuerySet[Call]:
        built.append(1)
        return Call.objects.select_related("lead").filter(pk=Given("call", UUIDField()))

    prepared = PreparedSelect(one)
    for call in (factories.make_call(), factories.make_call()):
        found = prepared.get(call=call.pk)
        assert (found.pk, found.counterpart, found.lead, found.due_at) == (
            call.pk,
            call.counterpart,
            call.lead,
            call.due_at,
        )
    assert len(built) == 1
    gone = factories.make_call()
    Call.objects.filter(pk=gone.pk).delete()
    with pytest.raises(Call.DoesNotExist):
        prepared.get(call=gone.pk)


def test_a_prepared_write_changes_what_is_given_and_says_how_many() -> None:
    def write() -> tuple[QuerySet[Call], dict[str, Any]]:
        reason = Given("reason", CharField())
        rows = Call.objects.filter(pk=Given("call", UUIDField())).exclude(cancel_reason=reason)
        return rows, {"cancel_reason": reason, "slot_until": ClockNow() + Given("slot", DurationField())}

    prepared = PreparedUpdate(write)
    one, other = factories.make_call(), factories.make_call()
    assert prepared.send(call=one.pk, reason="it's 100 % off", slot=timedelta(minutes=5)) == 1
    assert prepared.send(call=one.pk, reason="it's 100 % off", slot=timedelta(minutes=5)) == 0
    assert prepared.send(call=other.pk, reason="b", slot=timedelta(seconds=1)) == 1
    one.refresh_from_db(), other.refresh_from_db()
    assert (one.cancel_reason, other.cancel_reason) == ("it's 100 % off", "b")
    assert one.slot_until is not None
    assert other.slot_until is not None
    assert one.slot_until - database_now() > timedelta(minutes=4) > other.slot_until - database_now()
