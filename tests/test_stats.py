"""Every figure counts what its formula says, on both engines alike, and links to exactly those calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from agents.models import Agent
from calls.admin.figures import rows_url
from calls.admin.lead_filters import newest_ended_calls
from calls.dialer.ask import lead_variables
from calls.models import Call, Interruption
from calls.stats import (
    FIGURES,
    Interrupted,
    Period,
    agents_side_by_side,
    heat_map,
    interruptions,
    needs_a_look,
    over_days,
    rows_query,
)
from calls.stats.definitions import CALLS_IN, CARDS, ENDINGS, Unit
from tests.factories import at, make_agent, make_call, make_lead

pytestmark = pytest.mark.django_db

NOW = at("2026-11-20 18:00")
PERIOD = Period(date(2026, 11, 14), date(2026, 11, 20))
UNREACHED: dict[str, Any] = {"answered_by": "", "answered_at": None, "duration_ms": 0, "cost_micros": 1_000}


@pytest.fixture(autouse=True)
def in_new_york(settings: LazySettings) -> None:
    settings.COMPANY_TIME_ZONE = "America/New_York"


@pytest.fixture
def emma() -> Agent:
    return make_agent(name="Emma")


@pytest.fixture
def carlos() -> Agent:
    return make_agent(name="Carlos")


@pytest.fixture
def history(emma: Agent, carlos: Agent) -> dict[str, Call]:
    """Counted by hand below. Days in New York are five hours behind."""

    def ended(day: str, outcome: str, **fields: Any) -> Call:
        return make_call("ended", now=at(day), outcome=outcome, **{"agent": emma, "lead": None, **fields})

    def before(outcome: str, **fields: Any) -> Call:
        return ended("2026-11-10 15:00", outcome, **fields)

    return {
        "talked": ended("2026-11-16 15:00", "connected", duration_ms=100_000, local_hour=10, local_weekday=0),
        "bought": ended(
            "2026-11-16 16:00",
            "connected",
            duration_ms=50_000,
            agent=carlos,
            proposed_disposition="converted",
        ),
        "said to have bought": ended(
            "2026-11-17 15:00", "connected", proposed_disposition="interested", disposition="converted"
        ),
        "wrongly proposed": ended(
            "2026-11-17 15:30", "connected", proposed_disposition="converted", disposition="not_interested"
        ),
        "voicemail": ended("2026-11-17 16:00", "voicemail", answered_by="machine", duration_ms=20_000),
        "screened": ended("2026-11-17 17:00", "screened", answered_by="screening", duration_ms=5_000),
        "rang out": ended("2026-11-18 15:00", "no_answer", **UNREACHED, local_hour=10, local_weekday=0),
        "busy": ended("2026-11-18 16:00", "busy", **UNREACHED),
        "declined": ended("2026-11-18 17:00", "declined", **UNREACHED),
        "failed in mid-call": ended("2026-11-18 18:00", "failed", answered_by="unclear", cost_micros=None),
        "no such number": ended("2026-11-18 19:00", "invalid_number", **UNREACHED),
        "in euros": ended("2026-11-18 20:00", "connected", currency="EUR", cost_micros=500_000),
        "hung up by us": ended("2026-11-18 21:00", "canceled", **UNREACHED),
        "on the phone": make_call("in_progress", now=at("2026-11-20 17:59"), agent=emma, lead=None),
        # Never accepted by the phone company: not dialled.
        "waiting": make_call("queued", now=at("2026-11-20 17:00"), agent=emma, lead=None),
        "expired": ended("2026-11-19 15:00", "expired", **UNREACHED, placed_at=None, provider_call_id=""),
        "nobody knows": ended(
            "2026-11-19 16:00", "unknown", **UNREACHED, placed_at=None, provider_call_id=""
        ),
        # Accepted, and it cost something; but nobody pressed 1 at our own telephone, and theirs was not rung.
        "only ours rang": ended(
            "2026-11-19 16:30",
            "canceled",
            **UNREACHED | {"cost_micros": 7_000},
            agent=None,
            desk_number="+14155550190",
            fault="desk",
        ),
        # In.
        "rang us": ended(
            "2026-11-19 17:00", "connected", direction="inbound", lead=make_lead(), cost_micros=70_000
        ),
        "stranger": ended("2026-11-19 18:00", "connected", direction="inbound", duration_ms=30_000),
        "being rung": make_call("in_progress", now=at("2026-11-20 17:58"), direction="inbound", lead=None),
        # The edges of the period, in New York: 14 November begins at 05:00 UTC, 20 November ends at 05:00.
        "first minute": ended("2026-11-14 05:00", "connected"),
        "last minute": ended("2026-11-21 04:59", "no_answer", **UNREACHED),
        "one minute late": ended("2026-11-21 05:00", "connected"),
        # The seven days before.
        "last of before": ended("2026-11-14 04:59", "connected"),
        "before 1": before("no_answer", **UNREACHED),
        "before 2": before("no_answer", **UNREACHED),
        "before 3": before("connected", direction="inbound"),
        "first of before": ended("2026-11-07 05:00", "voicemail", answered_by="machine"),
        "too early": ended("2026-11-07 04:59", "connected"),
    }


@pytest.fixture(autouse=True)
def spoken_over(request: pytest.FixtureRequest) -> None:
    """Some of those calls; one of them in, one too early."""
    if "history" not in request.fixturenames:
        return
    calls = request.getfixturevalue("history")
    for name, silences in {
        "talked": (300, 500, None),
        "in euros": (None,),
        "rang us": (1,),
        "too early": (1,),
    }.items():
        for n, silence_ms in enumerate(silences):
            at_once = {"began_at": NOW, "released_at": NOW, "silence_ms": silence_ms}
            Interruption.objects.create(call=calls[name], utterance_id=f"utt_{n}", **at_once)


OUT = {
    "talked", "bought", "said to have bought", "wrongly proposed", "voicemail", "screened", "rang out",
    "busy", "declined", "failed in mid-call", "no such number", "in euros", "hung up by us", "first minute",
    "last minute",
}  # fmt: skip
REACHED = {"talked", "bought", "said to have bought", "wrongly proposed", "in euros", "first minute"}
ROWS: dict[str, set[str]] = {
    "dialled": OUT | {"on the phone"},
    "dialled_ended": OUT,
    "picked_up": REACHED | {"voicemail", "screened", "failed in mid-call"},
    "reached": REACHED,
    "talk_time": REACHED,
    "cost": OUT - {"failed in mid-call"} | {"only ours rang"},
    "conversions": {"bought", "said to have bought"},
    "calls_in": {"rang us", "stranger", "being rung"},
    "calls_in_known": {"rang us"},
    "talk_time_in": {"rang us", "stranger"},
    "cost_in": {"rang us", "stranger"},
    "ended_connected": REACHED,
    "ended_voicemail": {"voicemail"},
    "ended_screened": {"screened"},
    "ended_no_answer": {"rang out", "last minute"},
    "ended_busy": {"busy", "declined"},
    "ended_other": {"failed in mid-call", "no such number", "hung up by us"},
    "not_ended": {"on the phone"},
    "interrupted": {"talked", "in euros"},
    "look_unknown": {"nobody knows"},
    "look_review": set(),
    "look_incident": set(),
    "on_now": {"on the phone", "being rung"},
    "waiting_now": {"waiting"},
}


def test_every_figure_is_counted_by_hand_here() -> None:
    assert set(ROWS) == set(FIGURES)


def test_a_figure_counts_exactly_the_rows_named(history: dict[str, Call]) -> None:
    names = {call.pk: name for name, call in history.items()}
    within = Call.objects.filter(requested_at__gte=PERIOD.start, requested_at__lt=PERIOD.end)
    for id, figure in FIGURES.items():
        assert (id, {names[call.pk] for call in within.filter(figure.rows)}) == (id, ROWS[id])


def test_its_link_lists_exactly_those_rows(
    history: dict[str, Call], manager: User, sign_in: Callable[[User], Client]
) -> None:
    names = {call.pk: name for name, call in history.items()}
    client = sign_in(manager)
    for id, figure in FIGURES.items():
        answer = client.get(rows_url(figure, period=PERIOD))
        assert answer.status_code == 200
        assert (id, {names[call.pk] for call in answer.context["cl"].queryset}) == (id, ROWS[id])


def test_links_narrow_to_an_agent_a_weekday_and_an_hour(
    history: dict[str, Call], carlos: Agent, manager: User, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(manager)

    def listed(**narrowed: int) -> set[Any]:
        answer = client.get(rows_url(FIGURES["reached"], period=PERIOD, **narrowed))
        return {call.pk for call in answer.context["cl"].queryset}

    assert listed(agent=carlos.pk) == {history["bought"].pk}
    assert listed(weekday=0, hour=10) == {history["talked"].pk}


def test_interruptions_are_told_by_agent_with_the_time_to_silence(
    history: dict[str, Call], emma: Agent, manager: User, sign_in: Callable[[User], Client]
) -> None:
    found = interruptions(Call.objects.visible_to(manager), PERIOD)
    assert found == {emma.pk: Interrupted(4, 400.0)}
    query = urlencode({"from": PERIOD.first.isoformat(), "to": PERIOD.last.isoformat()})
    page = sign_in(manager).get(f"/admin/?{query}").content.decode()
    assert "4 · 400 ms" in page
    assert "how often, and after how many milliseconds" in page


def test_without_interruptions_the_comparison_has_no_such_column(
    emma: Agent, manager: User, sign_in: Callable[[User], Client]
) -> None:
    make_call("ended", agent=emma)
    assert "Interruptions" not in sign_in(manager).get("/admin/").content.decode().partition("agents side")[2]


def test_the_cards_say_what_the_rows_say(history: dict[str, Call]) -> None:
    over = over_days(Call.objects.all(), PERIOD)
    for figure in [*CARDS, *CALLS_IN, *ENDINGS]:
        if figure.unit is Unit.CALLS:
            assert over.now.value(figure.id) == len(ROWS[figure.id]), figure.id
    # 100 + 50 + 60 + 60 + 60 + 60 s; in: 60 + 30 s
    assert over.now.value("talk_time") == 390_000
    assert over.now.value("talk_time_in") == 90_000
    assert over.now.rate("picked_up") == pytest.approx(9 / 15)
    assert over.now.rate("reached") == pytest.approx(6 / 15)


def test_money_of_two_currencies_is_never_added(history: dict[str, Call]) -> None:
    over = over_days(Call.objects.all(), PERIOD)
    # Seven at the factory's 0.12, six unreached at 0.001 and our own telephone: dollars.
    assert over.now.amounts("cost") == [("USD", 7 * 120_000 + 6 * 1_000 + 7_000), ("EUR", 500_000)]
    assert over.now.amounts("cost_in") == [("USD", 190_000)]


def test_the_period_before_is_as_long_and_ends_the_day_before(history: dict[str, Call]) -> None:
    assert PERIOD.before() == Period(date(2026, 11, 7), date(2026, 11, 13))
    before = over_days(Call.objects.all(), PERIOD).before
    assert (before.value("dialled"), before.value("reached"), before.value("calls_in")) == (4, 1, 1)
    assert before.rate("picked_up") == pytest.approx(2 / 4)


def test_days_are_the_companys_and_none_is_missing(history: dict[str, Call]) -> None:
    over = over_days(Call.objects.all(), PERIOD)
    assert list(over.by_day) == PERIOD.days
    dialled = [over.by_day[day].value("dialled") for day in PERIOD.days]
    assert dialled == [1, 0, 2, 4, 7, 0, 2]
    assert sum(dialled) == over.now.value("dialled")


def test_the_endings_hold_every_dialled_call_once(history: dict[str, Call]) -> None:
    over = over_days(Call.objects.all(), PERIOD)
    for totals in (over.now, *over.by_day.values()):
        assert sum(totals.value(figure.id) for figure in ENDINGS) == totals.value("dialled")


def test_nothing_dialled_has_no_rate_rather_than_zero() -> None:
    over = over_days(Call.objects.all(), PERIOD)
    assert over.now.rate("reached") is None
    assert over.now.value("dialled") == 0


def test_a_day_of_25_hours_counts_each_call_once() -> None:
    for hour in range(24):
        make_call("ended", now=at(f"2026-11-01 {hour:02d}:30"), lead=None)
    make_call("ended", now=at("2026-11-02 04:30"), lead=None)
    clocks_change = Period(date(2026, 11, 1), date(2026, 11, 1))
    assert clocks_change.end - clocks_change.start == timedelta(hours=24)  # on the wall clock
    over = over_days(Call.objects.all(), clocks_change)
    # 04:30 UTC on the 2nd is 23:30 on the 1st; 00:30 to 03:30 on the 1st are October there.
    assert over.now.value("dialled") == 21


def test_agents_stand_side_by_side_the_busiest_first(
    history: dict[str, Call], emma: Agent, carlos: Agent
) -> None:
    lines = agents_side_by_side(over_days(Call.objects.all(), PERIOD))
    assert [(line.name, line.totals.value("dialled")) for line in lines] == [("Emma", 15), ("Carlos", 1)]
    assert lines[1].totals.value("conversions") == 1
    assert lines[1].totals.rate("reached") == 1.0


def test_the_heat_map_counts_by_the_hour_there(history: dict[str, Call]) -> None:
    found = heat_map(Call.objects.all(), PERIOD)
    assert found.hours == [10]
    monday = found.rows[0][0]
    assert (monday.reached, monday.ended, monday.rate) == (1, 2, 0.5)
    assert not monday.enough
    assert len(found.rows) == 7


def test_nineteen_calls_are_too_few_for_a_cell_and_twenty_enough() -> None:
    for n in range(39):
        make_call(
            "ended", now=at("2026-11-17 15:00"), lead=None, local_hour=9 if n < 19 else 12, local_weekday=1
        )
    found = heat_map(Call.objects.all(), PERIOD)
    assert found.hours == [9, 10, 11, 12]
    tuesday = {cell.hour: cell.enough for cell in found.rows[1]}
    assert tuesday == {9: False, 10: False, 11: False, 12: True}


def test_what_needs_a_look_is_told_apart(history: dict[str, Call]) -> None:
    make_call("ended", now=NOW, lead=None, proposed_disposition="review")
    make_call("ended", now=NOW, lead=None, proposed_disposition="review", disposition="interested")
    make_call("ended", now=NOW, lead=None, incident="rang a second time")
    found = {look.figure.id: look.count for look in needs_a_look(Call.objects.all(), now=NOW)}
    assert found == {"look_unknown": 1, "look_review": 1, "look_incident": 1}


def test_a_person_has_figures_over_what_that_person_may_see(sales: User, manager: User) -> None:
    make_call("ended", now=NOW, lead=make_lead(owner=sales))
    make_call("ended", now=NOW, lead=make_lead(owner=manager))
    for person, seen in ((sales, 1), (manager, 2)):
        over = over_days(Call.objects.visible_to(person), PERIOD)
        assert over.now.value("dialled") == seen


def test_a_range_given_backwards_is_read_forwards_and_cut_to_two_years() -> None:
    assert Period.between(date(2026, 3, 5), date(2026, 3, 1)) == Period(date(2026, 3, 1), date(2026, 3, 5))
    assert len(Period.between(date(2001, 1, 1), date(2026, 1, 1)).days) == 731


def test_last_days_end_today_where_the_company_is() -> None:
    late = datetime.fromisoformat("2026-11-20T03:00:00+00:00")  # still the 19th in New York
    assert Period.last_days(7, now=late) == Period(date(2026, 11, 13), date(2026, 11, 19))


def test_a_link_says_days_not_moments() -> None:
    query = urlencode(rows_query(FIGURES["dialled"], period=PERIOD, agent=3))
    assert query == (
        "figure=dialled&requested_at_from=2026-11-14&requested_at_to=2026-11-20&agent__id__exact=3"
    )


@pytest.mark.usefixtures("history")
def test_a_test_call_counts_in_no_figure_and_is_on_no_list_behind_one(client: Client, manager: User) -> None:
    Call.objects.update(test=True)
    calls = Call.objects.all()
    over = over_days(calls, PERIOD)
    assert not any(over.now.numbers.values())
    assert not over.now.money
    assert heat_map(calls, PERIOD).ended == 0
    assert agents_side_by_side(over) == []
    looked_at = {"look_unknown", "look_review", "look_incident"}
    assert {id for id, figure in FIGURES.items() if calls.filter(figure.rows).exists()} <= looked_at
    client.force_login(manager)
    page = client.get(rows_url(FIGURES["dialled"], period=PERIOD))
    assert page.context["cl"].result_count == 0


def test_what_a_lead_heard_on_a_test_call_is_no_history() -> None:
    lead = make_lead()
    real = make_call("ended", lead=lead, summary="Wants a quote")
    make_call("ended", lead=lead, summary="Just a test", test=True)
    assert lead_variables(lead)["last_call_summary"] == "Wants a quote"
    assert list(newest_ended_calls()) == [real]
