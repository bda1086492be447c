"""Nothing told is lost: what fails is tried again by itself, what went wrong is listed and read again."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from agents.providers.base import Accepted, Report
from calls.dialer.place import accepted
from calls.lifecycle import apply as applying
from calls.lifecycle import fold
from calls.lifecycle.apply import read_again
from calls.lifecycle.facts import _store, event_key, store_lookup, store_webhook
from calls.models import Call, CallStatus, Transcript, WebhookEvent
from tests import factories
from tests.far_end import FarEnd, theirs
from tests.inbox import apply_pending
from tests.test_applying import END, START, tell, tell_whole_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
SignIn = Callable[[User], Client]
LIST = "/admin/calls/webhookevent/"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`poison("call_1")`: whatever is told of that call ends in an error of ours; undone by `monkeypatch`."""
    real = fold.derive

    def of(call_id: str) -> None:
        def derive(facts: Any) -> Any:
            if any(fact.facts.provider_call_id == call_id for fact in facts):
                raise RuntimeError("poison \x00 from a stranger")
            return real(facts)

        monkeypatch.setattr(fold, "derive", derive)

    return of


def apply_at(now: datetime) -> None:
    apply_pending(now=now)


def soon() -> datetime:
    return timezone.now() + timedelta(seconds=1)


def test_an_event_that_fails_waits_longer_each_time_and_keeps_its_traceback(
    poison: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    tell_whole_call(call_uuid=str(call.pk))
    WebhookEvent.objects.exclude(pk=WebhookEvent.objects.earliest("pk").pk).delete()
    poison("call_1")
    now, waits = soon(), []
    for _try in range(7):
        apply_at(now)
        event = WebhookEvent.objects.get()
        waits.append((event.next_try_at - now).total_seconds())
        now = event.next_try_at
    assert waits == [1, 5, 30, 120, 600, 3600, 3600]
    assert (event.state, event.tries) == ("failing", 7)
    assert "RuntimeError: poison \\x00" in event.problem
    assert "Traceback" in event.problem
    monkeypatch.undo()
    apply_at(now)
    event.refresh_from_db()
    assert (event.state, event.problem) == ("applied", "")
    call.refresh_from_db()
    assert call.status == CallStatus.IN_PROGRESS


@pytest.mark.django_db(transaction=True)
def test_a_call_that_was_made_for_an_event_that_failed_leaves_nothing_behind(
    poison: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event's row must not point at the call that was rolled back: its commit would fail for ever."""
    ours = factories.make_number()
    tell(
        "call_started", direction="inbound", to_number=ours.number, from_number="+14155550131",
        start_timestamp=START, call_status="ongoing",
    )  # fmt: skip
    poison("call_1")
    now = soon()
    apply_at(now)
    event = WebhookEvent.objects.get()
    assert (event.state, event.call_id, event.tries) == ("failing", None, 1)
    assert not Call.objects.exists()
    monkeypatch.undo()
    apply_at(event.next_try_at)
    assert Call.objects.get().status == CallStatus.IN_PROGRESS


def test_others_are_applied_at_once_while_one_fails(poison: Callable[[str], None]) -> None:
    bad = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    good = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_2")
    tell_whole_call("call_1", call_uuid=str(bad.pk))
    tell_whole_call("call_2", call_uuid=str(good.pk))
    poison("call_1")
    apply_at(soon())
    good.refresh_from_db()
    assert (good.status, good.final) == (CallStatus.ENDED, True)
    assert WebhookEvent.objects.filter(state="failing").count() == 3
    assert WebhookEvent.objects.filter(state="applied").count() == 3


def test_a_fact_that_fails_does_not_hold_up_the_other_facts_of_its_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    tell_whole_call(call_uuid=str(call.pk))
    real = applying.read_facts

    def read(event: WebhookEvent, provider: Any) -> Any:
        name, kind, facts = real(event, provider)
        if name == "call_analyzed":
            raise RuntimeError("poison")
        return name, kind, facts

    for module in (applying, fold):
        monkeypatch.setattr(module, "read_facts", read)
    apply_at(soon())
    call.refresh_from_db()
    assert (call.status, call.outcome, call.final) == (CallStatus.ENDED, "connected", False)
    monkeypatch.undo()
    apply_at(soon() + timedelta(minutes=1))
    call.refresh_from_db()
    assert (call.summary, call.final) == ("They talked.", True)


def test_reading_one_fact_again_never_forgets_the_others_meanwhile() -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    tell_whole_call(call_uuid=str(call.pk))
    apply_at(soon())
    read_again(WebhookEvent.objects.all(), now=timezone.now())
    first = WebhookEvent.objects.earliest("pk")
    WebhookEvent.objects.exclude(pk=first.pk).update(next_try_at=timezone.now() + timedelta(hours=1))
    apply_at(soon())
    call.refresh_from_db()
    assert (call.outcome, call.summary, call.duration_ms) == ("connected", "They talked.", 60_000)


def test_a_year_read_again_is_spread_so_that_todays_news_come_between() -> None:
    now = timezone.now()
    WebhookEvent.objects.bulk_create(
        WebhookEvent(key=str(n), body=b"{}", received_at=now, next_try_at=now, state="applied")
        for n in range(450)
    )
    assert read_again(WebhookEvent.objects.all(), now=now) == 450
    due = sorted(set(WebhookEvent.objects.values_list("next_try_at", flat=True)))
    assert due == [now, now + timedelta(seconds=1), now + timedelta(seconds=2)]
    assert set(WebhookEvent.objects.values_list("state", flat=True)) == {"pending"}


def in_trouble() -> dict[str, WebhookEvent]:
    now = timezone.now()
    return {
        state: WebhookEvent.objects.create(
            key=state, body=b"{}", received_at=now, next_try_at=now + timedelta(hours=1), state=state,
            name=f"name of {state}", problem="Traceback of it" if state == "failing" else "",
        )
        for state in ("failing", "unreadable", "incident", "foreign", "applied")
    }  # fmt: skip


@pytest.mark.parametrize("state", ["failing", "unreadable", "incident", "foreign"])
def test_what_went_wrong_is_listed_by_kind_and_explained(
    administrator: User, sign_in: SignIn, state: str
) -> None:
    events = in_trouble()
    page = sign_in(administrator).get(f"{LIST}?state__exact={state}").content.decode()
    assert f"name of {state}" in page
    assert not [other for other in events if other != state and f"name of {other}" in page]
    assert 'aria-current="page"' in page
    one = sign_in(administrator).get(f"{LIST}{events[state].pk}/change/").content.decode()
    assert ("Traceback of it" in one) == (state == "failing")


def test_administrators_see_in_banner_and_navigation_that_something_went_wrong(
    administrator: User, manager: User, sign_in: SignIn
) -> None:
    quiet = sign_in(administrator).get("/admin/").content.decode()
    assert "banner-events" not in quiet
    in_trouble()
    cache.clear()
    page = sign_in(administrator).get("/admin/").content.decode()
    assert "banner-events" in page
    assert "2 events from the phone company could not be read" in page
    assert "sidebar-badge" in page
    assert "banner-events" not in sign_in(manager).get("/admin/").content.decode()


def test_one_event_is_read_again_from_its_page(administrator: User, manager: User, sign_in: SignIn) -> None:
    event = in_trouble()["failing"]
    at = f"{LIST}{event.pk}/again/"
    assert sign_in(manager).post(at).status_code == 403
    assert sign_in(administrator).get(at).status_code == 405
    assert sign_in(administrator).post(at).status_code == 302
    event.refresh_from_db()
    assert event.state == "pending"
    assert event.next_try_at <= timezone.now()


def test_a_range_of_times_is_counted_first_and_read_again_when_confirmed(
    administrator: User, sign_in: SignIn
) -> None:
    in_trouble()
    WebhookEvent.objects.filter(key="failing").update(received_at=timezone.now() - timedelta(days=30))
    now = timezone.localtime()
    form = {
        "since": (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"),
        "until": (now + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M"),
        "which": "trouble",
    }
    client = sign_in(administrator)
    assert "3 events came in this time" in client.post(f"{LIST}again/", form).content.decode()
    assert not WebhookEvent.objects.filter(state="pending").exists()
    client.post(f"{LIST}again/", {**form, "confirmed": "1"})
    read = set(WebhookEvent.objects.filter(state="pending").values_list("key", flat=True))
    assert read == {"unreadable", "incident", "foreign"}
    backwards = client.post(f"{LIST}again/", {**form, "since": form["until"], "until": form["since"]})
    assert "must be after the first" in backwards.content.decode()


def rederive(*words: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("rederive", *words, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_rederive_tells_what_differs_ends_with_one_and_mends_it() -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    factories.make_call(status=CallStatus.QUEUED)
    tell_whole_call(call_uuid=str(call.pk))
    apply_at(soon())
    assert rederive("--check") == (0, "2 calls, 1 of them without facts: 0 differ, 0 mended.\n")
    Call.objects.filter(pk=call.pk).update(cost_micros=1, outcome="busy", proposed_disposition="")
    Transcript.objects.filter(call=call).update(text="nothing of the kind")
    code, said = rederive("--check")
    assert code == 1
    for name in (
        "cost_micros: 1, its facts say 125000",
        "outcome: 'busy'",
        "proposed_disposition",
        "transcript",
    ):
        assert f"{call.pk} {name}" in said
    code, said = rederive()
    assert (code, said.splitlines()[-1]) == (0, "2 calls, 1 of them without facts: 1 differ, 1 mended.")
    call.refresh_from_db()
    assert (call.cost_micros, call.outcome, call.transcript.text[:6]) == (125_000, "connected", "Agent:")
    assert rederive("--check")[0] == 0


def test_of_two_look_ups_that_differ_the_one_seen_last_counts_also_when_it_was_seen_before() -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    provider = FarEnd().provider()

    def look(cents: float, seconds: int) -> None:
        ended = {"start_timestamp": START, "end_timestamp": END, "disconnection_reason": "user_hangup"}
        body = json.dumps(theirs("call_1", **ended, call_cost={"combined_cost": cents})).encode()
        now = timezone.now() + timedelta(seconds=seconds)
        store_lookup(Report(body=body, facts=provider.read_call(body)), now=now)
        apply_at(now)

    for seconds, cents in enumerate([12, 15, 12, 12]):
        look(cents, seconds)
        call.refresh_from_db()
        assert call.cost_micros == cents * 10_000
        assert rederive("--check")[0] == 0
    assert WebhookEvent.objects.count() == 2


@pytest.mark.parametrize("answered_first", [True, False])
def test_the_status_that_our_request_was_answered_stays_where_no_event_has_one(
    answered_first: bool, settings: LazySettings
) -> None:
    """As under the article's contract."""
    settings.RETELL_CONTRACT = "article"
    call = factories.make_call(status=CallStatus.DIALING)
    answer = Accepted(provider_call_id="call_1", body=b"{}", status="registered")
    told = {"event": "call_started", "call_id": "call_1", "metadata": {"call_uuid": str(call.pk)}}
    if answered_first:
        accepted(call.pk, answer)
    store_webhook(json.dumps(told).encode(), signature="x", contract="article", now=timezone.now())
    apply_at(soon())
    if not answered_first:
        accepted(call.pk, answer)
        apply_at(soon())
    call.refresh_from_db()
    assert (call.status, call.provider_status) == (CallStatus.IN_PROGRESS, "registered")
    assert rederive("--check")[0] == 0


def facts_of_a_call(call: Call, provider_id: str, luck: random.Random) -> list[tuple[str, bytes]]:
    """(source, body) of a whole call: webhooks, some stages looked up too, fields missing here and there."""
    ended = {
        "call_status": "ended",
        "start_timestamp": START,
        "end_timestamp": END,
        "duration_ms": END - START,
        "disconnection_reason": luck.choice(
            ["user_hangup", "agent_hangup", "dial_no_answer", "voicemail_reached"]
        ),
        "transcript": "Agent: Hello\n",
        "transcript_object": [{"role": "agent", "content": "Hello"}],
    }
    cost = {"call_cost": {"combined_cost": luck.randint(1, 900) / 10}}
    analysis = {
        "call_analysis": {
            "call_summary": "They talked.",
            "in_voicemail": luck.random() < 0.3,
            "custom_analysis_data": {"interested": luck.random() < 0.5, "promise": "a quote"},
        }
    }
    stages: list[tuple[str, dict[str, Any]]] = [
        ("call_started", {"call_status": "ongoing", "start_timestamp": START}),
        ("transfer_started", {"call_status": "ongoing", "transfer_destination": "+14155550188"}),
        ("call_ended", ended),
        ("call_ended", ended | cost),
        ("call_analyzed", ended | cost | analysis),
    ]  # fmt: skip
    found: list[tuple[str, bytes]] = []
    for name, fields in stages:
        given = {key: value for key, value in fields.items() if key == "call_status" or luck.random() < 0.9}
        body = theirs(provider_id, call_uuid=str(call.pk) if luck.random() < 0.7 else None, **given)
        found.append(("webhook", json.dumps({"event": name, "call": body}).encode()))
        if luck.random() < 0.5:
            found.append(("lookup", json.dumps(body).encode()))
    return found


def test_a_storm_of_permuted_and_repeated_facts_gives_the_same_rows_and_no_difference() -> None:
    """Each round: the same facts of twenty calls in another order, with repeats, some read again between."""
    seen: list[list[dict[str, Any]]] = []
    calls = [factories.make_call(status=CallStatus.PLACED, provider_call_id=f"call_{n}") for n in range(20)]
    before = {call.pk: dict(Call.objects.filter(pk=call.pk).values().get()) for call in calls}
    facts = [
        fact for n, call in enumerate(calls) for fact in facts_of_a_call(call, f"call_{n}", random.Random(n))
    ]
    columns = [
        "status", "outcome", "answered_by", "answered_at", "ended_at", "duration_ms", "cost_micros",
        "summary", "analysis", "disconnection_reason", "proposed_disposition", "promise", "final",
    ]  # fmt: skip
    for round_ in range(3):
        WebhookEvent.objects.all().delete()
        Transcript.objects.all().delete()
        for row in before.values():
            Call.objects.filter(pk=row["id"]).update(
                **{name: value for name, value in row.items() if name != "id"}
            )
        luck = random.Random(round_)
        told = facts + luck.sample(facts, len(facts) // 3)
        luck.shuffle(told)
        for some in itertools.batched(told, 17):
            for source, body in some:
                key = event_key(source, "current", body)
                _store(body, key=key, source=source, contract="current", signature="", now=timezone.now())
            if luck.random() < 0.3:
                read_again(WebhookEvent.objects.filter(source="webhook"), now=timezone.now())
            apply_at(soon())
        apply_at(soon() + timedelta(minutes=1))
        assert not WebhookEvent.objects.exclude(state="applied").exists()
        assert rederive("--check") == (0, "20 calls, 0 of them without facts: 0 differ, 0 mended.\n")
        ended = Call.objects.order_by("pk").values(*columns)
        seen.append([dict(row) for row in ended])
    assert seen[0] == seen[1] == seen[2]


def test_bodies_no_one_can_read_are_kept_and_read_again_by_a_release_that_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    store_webhook(b"\xff from tomorrow", signature="", contract="current", now=timezone.now())
    apply_at(soon())
    assert WebhookEvent.objects.get().state == "unreadable"
    today = applying.read_facts
    known = json.dumps(
        {"event": "call_started", "call": theirs("call_1", call_status="ongoing", start_timestamp=START)}
    ).encode()

    def tomorrow(event: WebhookEvent, provider: Any) -> Any:
        return today(WebhookEvent(body=known, source=event.source), provider)

    monkeypatch.setattr(applying, "read_facts", tomorrow)
    read_again(WebhookEvent.objects.all(), now=timezone.now())
    apply_at(soon())
    call.refresh_from_db()
    assert call.status == CallStatus.IN_PROGRESS
