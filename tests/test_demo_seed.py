"""The demo's people and their past: believable, callable at any hour, the same for the same moment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db.models import F

from agents.providers.registry import get_provider
from agents.sandbox.account import Account
from agents.sandbox.archive import Archive
from agents.sandbox.retell_call import call_object
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox
from agents.sync import sync
from callcenter.demo import daytime, history, people, seed, zones
from calls import dialer
from calls.eligibility import Verdict, decide_many
from calls.lifecycle import reachability
from calls.lifecycle.derive import Fact, derive
from calls.models import (
    Call,
    CallBack,
    CallBatch,
    DoNotCall,
    Lead,
    LeadStatus,
    Note,
    Transcript,
    WebhookEvent,
)

# A demo always lives in SQLite.
pytestmark = pytest.mark.one_engine

EIGHT_HOURS = [datetime(2026, 11, 24, hour, 20, tzinfo=UTC) for hour in range(0, 24, 3)]
MOMENT = datetime(2026, 11, 24, 15, 20, tzinfo=UTC)
FICTION = (
    "+1", "+441134960", "+441174960", "+441214960", "+441314960", "+441414960", "+441614960", "+441914980",
    "+442920180", "+493023125", "+494066969", "+496990009", "+498999998", "+492214710", "+33199000",
    "+33261910", "+33353010", "+33465710", "+33536490", "+61255500", "+61355500",
)  # fmt: skip


def share_that_may_be_called(now: datetime) -> float:
    decisions = decide_many(Lead.objects.prefetch_related("phones"), now=now)
    return sum(decision.verdict == Verdict.NOW for decision in decisions) / len(decisions)


@pytest.mark.parametrize("now", EIGHT_HOURS, ids=lambda now: f"{now:%H:%M}")
def test_at_any_hour_about_seventy_in_a_hundred_may_be_called(db: None, now: datetime) -> None:
    invented = people.people(now)
    seed.make_leads(invented, seed.make_staff(now), now=now)
    # Those who never may be called come with the history; here everybody still may.
    assert 0.70 <= share_that_may_be_called(now) <= 0.78
    asleep = [d for d in decide_many(Lead.objects.all(), now=now) if d.verdict == Verdict.LATER]
    assert asleep
    assert all(decision.at is not None and decision.at > now for decision in asleep)


@pytest.mark.parametrize("later_h", [5, 9, 14, 20])
def test_started_again_at_another_hour_people_are_awake_again(db: None, later_h: int) -> None:
    seed.make_leads(people.people(MOMENT), seed.make_staff(MOMENT), now=MOMENT)
    again = MOMENT + timedelta(hours=later_h)
    daytime.wake(again)
    assert 0.65 <= share_that_may_be_called(again) <= 0.80
    to_try = Lead.objects.filter(list__name=people.TRY_THESE).prefetch_related("phones")
    assert {decision.verdict for decision in decide_many(to_try, now=again)} == {Verdict.NOW}


def test_nobody_moves_while_the_hour_is_fine(db: None) -> None:
    seed.make_leads(people.people(MOMENT), seed.make_staff(MOMENT), now=MOMENT)
    assert daytime.wake(MOMENT + timedelta(minutes=5)) == 0


def test_the_same_moment_invents_the_same_people_and_the_same_past() -> None:
    first, second = people.people(MOMENT), people.people(MOMENT)
    assert first == second
    assert history.plan(first, MOMENT) == history.plan(second, MOMENT)


@pytest.mark.parametrize("now", EIGHT_HOURS[::3], ids=lambda now: f"{now:%H:%M}")
def test_every_number_is_of_fiction_and_belongs_to_one_person(now: datetime) -> None:
    invented = people.people(now)
    numbers = [person.number for person in invented]
    numbers += [person.second_number for person in invented if person.second_number]
    assert len(set(numbers)) == len(numbers)
    assert all(number.startswith(FICTION) for number in numbers)
    assert all(number[5:10] == "55501" for number in numbers if number.startswith("+1"))
    assert not set(numbers) & set(NUMBERS)


def test_the_past_has_weekdays_a_bad_week_a_tired_caller_id_and_agents_that_differ() -> None:
    calls = [call for call in history.plan(people.people(MOMENT), MOMENT) if call.direction == "outbound"]
    assert 3500 <= len(calls) <= 5000
    by_weekday = Counter(call.at.weekday() for call in calls)
    assert min(by_weekday[day] for day in range(5)) > 3 * max(by_weekday[5], by_weekday[6])

    def picked_up(some: list[history.Planned]) -> float:
        return sum(call.connects for call in some) / len(some)

    def ago(call: history.Planned) -> int:
        return (MOMENT - call.at).days

    bad = [call for call in calls if ago(call) in history.BAD_WEEK]
    around = [call for call in calls if ago(call) in range(45, 56)]
    assert picked_up(bad) < picked_up(around) - 0.1
    tiring = [
        call for call in calls if call.our_number == history.TIRING and ago(call) not in history.BAD_WEEK
    ]
    assert (
        picked_up([c for c in tiring if ago(c) < 20]) < picked_up([c for c in tiring if ago(c) > 56]) - 0.08
    )
    reached = {
        agent: sum(c.kind in history.PERSONS for c in calls if c.agent == agent)
        / sum(c.agent == agent for c in calls)
        for agent in ("ava", "maya", "nora", "lucia")
    }
    assert reached["lucia"] > reached["ava"] > reached["nora"]
    assert all(
        9 <= call.at.astimezone(zones.zone_of(call.person.zone)).hour < 20 for call in calls if call.person
    )
    assert all(call.at <= MOMENT - history.LATEST for call in calls)


@pytest.mark.parametrize("now", EIGHT_HOURS[::3], ids=lambda now: f"{now:%H:%M}")
def test_nobody_was_called_too_often_and_most_promises_were_kept(now: datetime) -> None:
    calls = [call for call in history.plan(people.people(now), now) if call.direction == "outbound"]
    attempts = Counter(call.person.number for call in calls if call.person)
    assert max(attempts.values()) <= 9
    assert sum(n > history.MOST_ATTEMPTS + 1 for n in attempts.values()) < 0.02 * len(attempts)
    assert 3 < sum(attempts.values()) / len(attempts) < 6
    asked = [call for call in calls if call.kind == "callback"]
    assert 0.6 < sum(call.promised for call in calls) / len(asked) < 0.95


@pytest.mark.parametrize("now", EIGHT_HOURS[::3], ids=lambda now: f"{now:%H:%M}")
def test_batches_went_out_on_weekdays_to_people_of_whoever_pressed_call(now: datetime) -> None:
    calls = [call for call in history.plan(people.people(now), now) if call.batch and call.person]
    sizes = Counter(call.batch for call in calls)
    assert len(sizes) >= 50
    assert {batch.by for batch in sizes if batch} == {one.username for one in people.SALES}
    for call in calls:
        assert call.batch is not None
        assert call.person is not None
        assert call.person.owner in (call.batch.by, "")
        assert call.person.agent == call.batch.agent == call.agent
        assert call.at >= call.batch.started
        assert 9 <= call.at.astimezone(zones.zone_of(call.person.zone)).hour < 20
    assert sum(call.at.weekday() >= 5 for call in calls) < 0.1 * len(calls)


@pytest.fixture
def filled(db: None, settings: LazySettings, tmp_path: Path) -> Iterator[tuple[Sandbox, Path]]:
    """The whole past, written under every rule of the database, and a network that knows it."""
    settings.COMPANY_NAME = "Brightside Solar"
    archive = tmp_path / "calls.jsonl"
    with Sandbox(api_key=settings.RETELL_API_KEY, webhook_url="http://testserver/webhook/retell") as network:
        settings.RETELL_BASE_URL = network.url
        network.network.archive = Archive(archive, network.account)
        sync(get_provider(), now=MOMENT)
        writer = Archive(archive, Account(inbound_webhook_url=None, seed=1))
        seed.fill(now=MOMENT, provider=get_provider(), network_url=network.url, archive=writer)
        yield network, archive


def test_the_filled_desk_is_consistent(filled: tuple[Sandbox, Path]) -> None:
    network, _ = filled
    calls = Call.objects.all()
    assert Lead.objects.count() == people.HOW_MANY
    assert not calls.exclude(status="ended").exists()
    assert not calls.filter(final=False).exists()
    assert not calls.filter(ended_at__lt=F("requested_at")).exists()
    assert not calls.filter(requested_at__gt=MOMENT).exists()
    assert not WebhookEvent.objects.exists()
    assert reachability.judge(reachability.gather(now=MOMENT), now=MOMENT) is None
    assert 0.65 <= share_that_may_be_called(MOMENT) <= 0.75
    assert Transcript.objects.count() > calls.count() * 0.4
    assert DoNotCall.objects.filter(call__isnull=False).count() >= 10
    assert CallBack.objects.filter(state="missed").count() >= 10
    assert CallBack.objects.filter(state="done").count() >= 80
    assert Note.objects.count() >= 80
    assert CallBack.objects.filter(state="open", due_at__gt=MOMENT).count() >= 8
    assert not CallBack.objects.filter(state="open", due_at__lte=MOMENT).exists()
    assert calls.filter(direction="inbound", lead__isnull=False).count() >= 40
    assert calls.filter(direction="inbound", lead__isnull=True).count() == history.STRANGERS
    assert {LeadStatus.CUSTOMER, LeadStatus.INTERESTED, LeadStatus.UNREACHABLE} <= set(
        Lead.objects.values_list("status", flat=True)
    )
    assert set(User.objects.values_list("username", flat=True)) == {one.username for one in people.STAFF}
    _batches_are_over_and_add_up()
    _the_network_tells_the_same(network)


def _batches_are_over_and_add_up() -> None:
    assert CallBatch.objects.count() >= 50
    refused = 0
    for batch in CallBatch.objects.all():
        seen = dialer.progress(batch, now=MOMENT)
        assert (batch.state, seen.waiting, seen.calling, seen.on_the_phone) == ("done", 0, 0, 0)
        assert seen.total == seen.queued == seen.ended + len(seen.refused) > 0
        assert batch.created_at == batch.started_at
        members = Lead.objects.visible_to(batch.created_by).filter(pk__in=batch.lead_ids)
        assert members.count() == seen.total
        refused += len(seen.refused)
        assert Call.objects.filter(batch=batch, lead__in=[one["lead"] for one in seen.refused]).count() == 0
    assert refused >= 20
    of_batches = Call.objects.filter(batch__isnull=False)
    assert not of_batches.exclude(requested_by=F("batch__created_by")).exists()
    assert not of_batches.filter(requested_at__lt=F("batch__started_at")).exists()
    waited = [call for call in of_batches if call.decision["verdict"] == "later"]
    assert waited
    assert all(call.sent_at - call.requested_at > timedelta(minutes=10) for call in waited if call.sent_at)


def _the_network_tells_the_same(network: Sandbox) -> None:
    """Each row is what a look-up of that call would make of it, transcript and all; and it plays."""
    provider = get_provider()
    ids = list(Call.objects.order_by("provider_call_id").values_list("pk", flat=True))
    for call in Call.objects.select_related("transcript").filter(pk__in=Random(1).sample(ids, k=120)):
        told = call_object(network.network.call(call.provider_call_id), network.recordings.url_of)
        derived = derive([Fact(provider.read_call(json.dumps(told).encode()), fetched=True, key="")])
        columns = {name: value for name, value in derived.columns.items() if value or name != "ended_at"}
        # An agent's signed link is signed anew each time it is shown.
        columns["recording_url"] = columns["recording_url"].partition("?")[0]
        assert {name: getattr(call, name) for name in columns} == columns
        transcript = getattr(call, "transcript", None)
        assert (transcript.turns if transcript else None) == derived.turns
        assert (transcript.text if transcript else "") == derived.text


def test_it_is_filled_only_once(db: None) -> None:
    assert not seed.is_seeded()
    seed.make_staff(MOMENT)
    assert seed.is_seeded()
