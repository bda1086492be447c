"""Many rows written in one statement, each with values of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calls.models import Call, CallStatus, Lead
from calls.models.together import update_each
from tests import factories

pytestmark = pytest.mark.django_db
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TOLD = (
    *("outcome_evidence", "cost_micros", "successful", "analysis", "ended_at", "place_token", "request_body"),
    *("not_now_count", "judged_by"),
)


def test_each_row_gets_its_own_values_of_every_kind(manager: object) -> None:
    now = timezone.now()
    calls = [factories.make_call() for _ in range(3)]
    calls[0].outcome_evidence = "quoted \"so\" and 'so', {braces}, back\\slash, 100 % é 😀\nnew line"
    calls[0].analysis = {"a": [1, None, 'x"y\\', "%s"], "deep": {"é": True}}
    calls[0].cost_micros, calls[0].successful, calls[0].ended_at = 2**40, True, now
    calls[0].request_body, calls[0].judged_by = b"\x00\xff'%s", manager  # type: ignore[assignment]
    calls[1].outcome_evidence, calls[1].analysis, calls[1].successful = "NULL", {}, False
    calls[1].ended_at, calls[1].not_now_count = now - timedelta(days=9), 7
    update_each(calls, TOLD)
    for call in calls:
        kept = Call.objects.get(pk=call.pk)
        wanted = {name: getattr(call, name) for name in TOLD}
        found = {name: getattr(kept, name) for name in TOLD}
        found["request_body"] = None if kept.request_body is None else bytes(kept.request_body)
        assert found == wanted


def test_nothing_else_is_written_and_other_rows_are_left() -> None:
    call, other = factories.make_call(), factories.make_call()
    Call.objects.filter(pk=call.pk).update(cancel_reason="said meanwhile")
    call.summary = other.summary = "new"
    with CaptureQueriesContext(connection) as asked:
        update_each([call], ["summary"])
        update_each([], ["summary"])
    assert len(asked) == 1
    kept = Call.objects.get(pk=call.pk)
    assert (kept.summary, kept.cancel_reason) == ("new", "said meanwhile")
    assert Call.objects.get(pk=other.pk).summary == ""


def test_the_moment_of_the_write_is_the_databases() -> None:
    call = factories.make_call()
    Call.objects.filter(pk=call.pk).update(updated_at=LONG_AGO)
    call.refresh_from_db()
    Call.objects.update_each([call], ["summary"])
    assert Call.objects.get(pk=call.pk).updated_at - LONG_AGO > timedelta(days=1)


def test_what_the_database_forbids_fails_for_all_of_them() -> None:
    calls = [factories.make_call(status=CallStatus.PLACED) for _ in range(2)]
    calls[0].summary = "fine"
    calls[1].status = "nonsense"
    with pytest.raises(IntegrityError), transaction.atomic():
        update_each(calls, ["status", "summary"])
    assert set(Call.objects.values_list("summary", flat=True)) == {""}


@pytest.mark.postgresql
def test_what_is_too_long_is_refused_and_never_cut() -> None:
    leads = [factories.make_lead(), factories.make_lead()]
    leads[1].company = "x" * 201
    with pytest.raises(DataError), transaction.atomic():
        update_each(leads, ["company"])
    assert set(Lead.objects.values_list("company", flat=True)) == {""}
