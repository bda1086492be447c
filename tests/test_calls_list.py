"""The list of calls: what each row says, whom it is shown to, what finds it, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from calls import search
from calls.admin.figures import rows_url
from calls.models import Call, CallBatch, Transcript
from calls.stats import FIGURES, Period
from tests.factories import at, make_agent, make_call, make_lead, make_transcript

pytestmark = pytest.mark.django_db

LIST = "/admin/calls/call/"
SignIn = Callable[[User], Client]
HOSTILE = '<script>alert(1)</script>" x-data="{a:alert(2)}" onload=x'


def shown(client: Client, url: str = LIST, **query: str) -> list[Call]:
    answer = client.get(url, query or None)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


@pytest.fixture
def desk(sign_in: SignIn, manager: User) -> Client:
    return sign_in(manager)


def test_a_row_says_who_how_it_ended_what_it_meant_and_what_it_cost(desk: Client) -> None:
    make_call(
        "ended",
        lead=make_lead("+14155550101", name="Mia Novak"),
        disposition="interested",
        sentiment="positive",
        duration_ms=84_000,
        cost_micros=1_250_000,
        agent=make_agent(name="Ava"),
    )
    body = desk.get(LIST).content.decode()
    for said in (
        "Mia Novak",
        "+1 415-555-0101",
        "Talked",
        "Interested",
        "Positive",
        "1 min 24 s",
        "$1.25",
        "Ava",
        "Out",
    ):
        assert said in body


def test_a_call_that_waits_says_for_what(desk: Client) -> None:
    make_call("queued")
    assert "No dialer is running." in desk.get(LIST).content.decode()


def test_sales_see_their_own_and_nobody_s(sign_in: SignIn, sales: User, manager: User) -> None:
    mine = make_call("ended", lead=make_lead(owner=sales))
    theirs = make_call("ended", lead=make_lead(owner=manager))
    unknown = make_call("ended", lead=None, direction="inbound")
    assert set(shown(sign_in(sales))) == {mine, unknown}
    assert set(shown(sign_in(manager))) == {mine, theirs, unknown}


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ({"direction": "inbound"}, {"direction": "inbound"}),
        ({"outcome": "voicemail"}, {"outcome": "voicemail", "answered_by": "machine"}),
        ({"meaning": "interested"}, {"disposition": "interested"}),
        ({"meaning": "interested"}, {"proposed_disposition": "interested"}),
        ({"meaning": "-"}, {}),
        ({"sentiment": "negative"}, {"sentiment": "negative"}),
        ({"test": "yes"}, {"test": True}),
        ({"local_hour__exact": "9"}, {"local_hour": 9}),
    ],
)
def test_a_filter_keeps_what_it_names(desk: Client, query: dict[str, str], matches: dict[str, Any]) -> None:
    other = make_call("ended", disposition="not_interested")
    wanted = make_call("ended", **matches)
    assert shown(desk, **query) == [wanted]
    assert other not in shown(desk, **query)


def test_a_person_s_word_hides_what_the_analysis_proposed(desk: Client) -> None:
    make_call("ended", disposition="not_interested", proposed_disposition="interested")
    assert shown(desk, meaning="interested") == []


@pytest.mark.parametrize(
    ("value", "statuses"),
    [
        ("open", {"queued", "placed", "in_progress"}),
        ("queued", {"queued"}),
        ("calling", {"placed"}),
        ("in_progress", {"in_progress"}),
        ("ended", {"ended"}),
    ],
)
def test_statuses_are_filtered_in_the_words_of_the_page(desk: Client, value: str, statuses: set[str]) -> None:
    for status in ("queued", "placed", "in_progress", "ended"):
        make_call(status)
    assert {call.status for call in shown(desk, status=value)} == statuses


def test_days_are_whole_and_the_company_s(desk: Client, settings: Any) -> None:
    settings.COMPANY_TIME_ZONE = "America/New_York"
    inside = [make_call("ended", now=at(text)) for text in ("2026-03-02 05:00", "2026-03-04 03:59")]
    for text in ("2026-03-02 04:59", "2026-03-04 05:00"):
        make_call("ended", now=at(text))
    found = shown(desk, requested_at_from="2026-03-02", requested_at_to="2026-03-03")
    assert set(found) == set(inside)
    assert len(shown(desk, requested_at_from="nonsense", requested_at_to="2026-13-45")) == 4


def test_a_batch_and_an_agent_can_be_named(desk: Client, manager: User) -> None:
    batch = CallBatch.objects.create(created_by=manager, started_at=timezone.now())
    mine = make_call("ended", batch=batch, agent=make_agent(name="Ava"))
    make_call("ended")
    assert shown(desk, batch=str(batch.pk)) == [mine]
    assert shown(desk, batch="nonsense") == []
    assert shown(desk, agent__id__exact=str(mine.agent_id)) == [mine]


@pytest.mark.parametrize("figure", list(FIGURES))
def test_every_figure_of_the_dashboard_links_to_exactly_its_rows(desk: Client, figure: str) -> None:
    now = timezone.now()
    agent = make_agent()
    for fields in (
        {},
        {"outcome": "voicemail", "answered_by": "machine"},
        {"outcome": "busy", "answered_by": "", "duration_ms": None},
        {"disposition": "converted"},
        {"direction": "inbound"},
        {"incident": "rang twice"},
    ):
        make_call("ended", now=now, agent=agent, **fields)
    make_call("in_progress", now=now, agent=agent)
    make_call("ended", now=now - timedelta(days=40), agent=agent)
    url = rows_url(FIGURES[figure], period=Period.last_days(7, now=now), agent=agent.pk)
    week_ago = now - timedelta(days=7)
    assert set(shown(desk, url)) == set(Call.objects.filter(FIGURES[figure].rows, requested_at__gt=week_ago))


def test_changing_a_filter_keeps_the_conditions_of_the_dashboard_s_link(desk: Client) -> None:
    body = desk.get(LIST, {"local_hour__exact": "9", "outcome": "busy"}).content.decode()
    assert '<input type="hidden" name="local_hour__exact" value="9">' in body
    assert '<input type="hidden" name="outcome"' not in body


def test_words_that_were_said_are_found_and_shown(desk: Client) -> None:
    call = make_call("ended")
    transcript = make_transcript(call, ("agent", "Hello."), ("user", f"The solar quote {HOSTILE} was nice."))
    search.index_transcript(call.pk, transcript.text)
    make_call("ended")
    answer = desk.get(LIST, {"q": "quote"})
    assert list(answer.context["cl"].result_list) == [call]
    body = answer.content.decode()
    assert "<mark>quote</mark>" in body
    assert "<script>alert" not in body


def test_a_hostile_name_stays_text(desk: Client) -> None:
    make_call("ended", lead=make_lead(name=HOSTILE), agent=make_agent(name=HOSTILE))
    body = desk.get(LIST).content.decode()
    assert "<script>alert" not in body
    assert '" x-data="{a' not in body


def test_the_list_costs_the_same_for_one_call_and_for_fifty(desk: Client) -> None:
    def queries(**query: str) -> int:
        cache.clear()  # the banners' few seconds
        with CaptureQueriesContext(connection) as asked:
            assert desk.get(LIST, query).status_code == 200
        return len(asked)

    def add(status: str) -> None:
        call = make_call(status)
        if status == "ended":
            Transcript.objects.create(call=call, text="user: the solar quote")
            search.index_transcript(call.pk, "user: the solar quote")

    desk.get(LIST)
    add("queued")
    add("ended")
    few, few_found = queries(), queries(q="quote")
    for _more in range(20):
        add("queued")
        add("ended")
    assert queries() == few
    assert queries(q="quote") == few_found
    assert few < 35


def test_calls_are_neither_added_nor_deleted_here(desk: Client, administrator: User, sign_in: SignIn) -> None:
    call = make_call("ended")
    client = sign_in(administrator)
    assert client.get(reverse("admin:calls_call_add")).status_code == 403
    assert client.post(reverse("admin:calls_call_delete", args=[call.pk]), {"post": "yes"}).status_code == 403
