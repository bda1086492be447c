"""Calling many: the selection stays here, the sheet says first what will happen, and it can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.readiness import profile_to_json
from calls import dialer
from calls.dialer import counting, expecting
from calls.dialer.batches import fill_next
from calls.models import Call, CallBatch, CallStatus, LeadPhone
from calls.models.batch import BatchState
from tests.factories import make_agent, make_call, make_lead, make_opt_out
from tests.test_readiness import READY

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]

LIST = "/admin/calls/lead/"
SignIn = Callable[[User], Client]
HERE = replace(READY, webhook_url="http://testserver/webhook/retell")


def open_all(client: Client, query: str = "") -> CallBatch:
    answer = client.post(f"{LIST}call-all/{query}")
    assert answer.status_code == 302
    return CallBatch.objects.get(pk=answer.headers["Location"].split("/")[-3])


def path_of(batch: CallBatch, tail: str) -> str:
    return f"/admin/calls/callbatch/{batch.pk}/{tail}/"


def test_call_all_keeps_exactly_the_filtered_leads(sign_in: SignIn, sales: User, manager: User) -> None:
    make_agent()
    chosen = {make_lead(status="interested").pk for _nth in range(3)}
    make_lead(status="new")
    make_lead(status="interested", owner=manager)
    batch = open_all(sign_in(sales), "?status=interested")
    assert set(batch.lead_ids) == chosen
    assert (batch.state, batch.created_by) == (BatchState.DRAFT, sales)
    assert not Call.objects.exists()


def test_selected_rows_and_a_selection_across_pages(sign_in: SignIn, sales: User) -> None:
    make_agent()
    leads = [make_lead() for _nth in range(60)]
    client = sign_in(sales)
    some = {
        "action": "call_selected",
        "index": "0",
        "select_across": "0",
        "_selected_action": [leads[0].pk, leads[1].pk],
    }
    client.post(LIST, some)
    assert set(CallBatch.objects.latest("created_at").lead_ids) == {leads[0].pk, leads[1].pk}
    client.post(LIST, {**some, "select_across": "1"})
    assert set(CallBatch.objects.latest("created_at").lead_ids) == {lead.pk for lead in leads}


def test_the_selection_never_travels_in_the_form(sign_in: SignIn, sales: User) -> None:
    make_agent()
    make_lead(pk=987_654)
    client = sign_in(sales)
    page = client.get(path_of(open_all(client), "sheet")).content.decode()
    assert 'value="987654"' not in page
    assert "call_selected" not in page


def test_the_sheet_says_now_later_and_never_with_reasons(sign_in: SignIn, sales: User, settings) -> None:  # type: ignore[no-untyped-def]
    make_agent()
    here = timezone.now()
    settings.CALLING_HOURS = f"{here.hour:02d}:00-24:00" if here.hour else "00:00-24:00"
    for _nth in range(3):
        make_lead(time_zone="UTC")
    for reason in ("off your list", "do not ring"):
        make_opt_out(make_lead(time_zone="UTC").phones.get().number, reason=reason)
    wrong = make_lead(time_zone="UTC")
    LeadPhone.objects.filter(lead=wrong).update(state="wrong")
    make_call("in_progress", lead=make_lead(time_zone="UTC"))
    client = sign_in(sales)
    answer = client.get(path_of(open_all(client), "sheet"))
    page = " ".join(answer.content.decode().split())
    assert [group["count"] for group in answer.context["groups"]] == [3, 0, 4]
    for words in (
        "3 now",
        "4 never",
        "2 do-not-call",
        "1 wrong number",
        "1 on the phone with us",
        "off your list",
    ):
        assert words in page


def test_starting_queues_nothing_for_ten_seconds_and_undo_stops_it(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    for _nth in range(3):
        make_lead()
    client = sign_in(sales)
    batch = open_all(client)
    answer = client.post(path_of(batch, "sheet"), {"agent": agent.pk, "our_number": ""})
    assert answer.headers["Location"] == path_of(batch, "change")
    while fill_next(now=timezone.now()):
        pass
    assert Call.objects.filter(batch=batch, due_at__gt=timezone.now()).count() == 3
    page = client.get(path_of(batch, "change")).content.decode()
    assert "Undo" in page
    client.post(path_of(batch, "undo"))
    batch.refresh_from_db()
    assert batch.state == BatchState.UNDONE
    assert not Call.objects.exclude(status=CallStatus.ENDED).exists()


def test_undo_too_late_says_so_and_the_rest_can_be_cancelled(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    for _nth in range(3):
        make_lead()
    client = sign_in(sales)
    batch = open_all(client)
    client.post(path_of(batch, "sheet"), {"agent": agent.pk})
    while fill_next(now=timezone.now()):
        pass
    CallBatch.objects.filter(pk=batch.pk).update(undo_until=timezone.now() - timedelta(seconds=1))
    assert "Too late to undo" in client.post(path_of(batch, "undo"), follow=True).content.decode()
    assert Call.objects.filter(status=CallStatus.QUEUED).count() == 3
    assert (
        "3 waiting calls were cancelled"
        in client.post(path_of(batch, "cancel"), follow=True).content.decode()
    )
    assert not Call.objects.filter(status=CallStatus.QUEUED).exists()


def test_above_two_hundred_the_number_is_typed(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    for _nth in range(201):
        make_lead(time_zone="UTC")
    client = sign_in(sales)
    batch = open_all(client)
    posted = {"agent": str(agent.pk), "our_number": ""}
    assert "Type 201" in client.get(path_of(batch, "sheet")).content.decode()
    assert client.post(path_of(batch, "sheet"), {**posted, "typed": "20"}).status_code == 200
    batch.refresh_from_db()
    assert batch.state == BatchState.DRAFT
    client.post(path_of(batch, "sheet"), {**posted, "typed": "201"})
    batch.refresh_from_db()
    assert batch.state == BatchState.FILLING


def test_a_second_press_starts_nothing_again(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    make_lead()
    client = sign_in(sales)
    batch = open_all(client)
    client.post(path_of(batch, "sheet"), {"agent": agent.pk})
    batch.refresh_from_db()
    started = batch.started_at
    client.post(path_of(batch, "sheet"), {"agent": agent.pk})
    batch.refresh_from_db()
    assert batch.started_at == started


def test_nobody_to_call_is_said_and_not_started(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    make_opt_out(make_lead().phones.get().number)
    client = sign_in(sales)
    batch = open_all(client)
    assert (
        "Nobody of these may be called."
        in client.post(path_of(batch, "sheet"), {"agent": agent.pk}).content.decode()
    )
    batch.refresh_from_db()
    assert batch.state == BatchState.DRAFT


def test_an_empty_list_opens_no_batch(sign_in: SignIn, sales: User) -> None:
    answer = sign_in(sales).post(f"{LIST}call-all/?status=customer", follow=True)
    assert "No lead is selected." in answer.content.decode()
    assert not CallBatch.objects.exists()


def test_the_page_shows_outcomes_and_who_was_not_called_also_as_a_file(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    lead = make_lead(name="=Bad()", company="Looms")
    batch = CallBatch.objects.create(
        created_by=sales,
        agent=agent,
        state=BatchState.RUNNING,
        started_at=timezone.now(),
        filled_to=3,
        selection={"ids": [lead.pk, 1, 2]},
        refused=[{"lead": lead.pk, "code": "do_not_call", "text": "off the list"}],
    )
    make_call("ended", batch=batch, outcome="connected")
    make_call("ended", batch=batch, outcome="voicemail", answered_by="machine")
    client = sign_in(sales)
    answer = client.get(path_of(batch, "change"))
    assert [(each["code"], each["count"]) for each in answer.context["outcomes"]] == [
        ("connected", 1),
        ("voicemail", 1),
    ]
    page = answer.content.decode()
    assert "off the list" in page
    assert "hx-get" in page
    fragment = client.get(path_of(batch, "progress")).content.decode()
    assert "<html" not in fragment
    file = b"".join(client.get(path_of(batch, "not-called")).streaming_content).decode()  # type: ignore[attr-defined]
    assert "'=Bad(),Looms" in file
    assert "off the list" in file


def test_the_place_in_the_queue_and_the_expected_end_are_told(sign_in: SignIn, sales: User) -> None:
    from calls.dialer.gate import beat

    beat("dialer test", "dialer", now=timezone.now())
    agent = make_agent()
    batch = CallBatch.objects.create(
        created_by=sales,
        agent=agent,
        state=BatchState.RUNNING,
        started_at=timezone.now(),
        selection={"ids": [1]},
        filled_to=1,
    )
    make_call(now=timezone.now() - timedelta(minutes=1), batch=None, priority=2)
    make_call(now=timezone.now() - timedelta(minutes=1), batch=batch, priority=4)
    page = sign_in(sales).get(path_of(batch, "change")).content.decode()
    assert "place 2 in the queue." in page
    assert "expected to go out by" in page


def test_the_expected_end_goes_by_how_long_calls_last(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND, settings.MAX_CONCURRENT_CALLS = 20.0, 10
    assert expecting.calls_per_second(most=10) == pytest.approx(10 / 45)
    now = timezone.now()
    for _n in range(10):
        make_call("ended", sent_at=now - timedelta(seconds=20), ended_at=now)
    assert expecting.calls_per_second(most=10) == pytest.approx(0.5)
    assert expecting.calls_per_second(most=1000) == 20.0


def test_whom_a_cancelled_batch_never_came_to_is_counted_as_not_called(sign_in: SignIn, sales: User) -> None:
    batch = CallBatch.objects.create(
        created_by=sales,
        agent=make_agent(),
        state=BatchState.CANCELLED,
        started_at=timezone.now(),
        selection={"ids": [1, 2, 3, 4, 5]},
        filled_to=2,
        refused=[{"lead": 1, "code": "do_not_call", "text": "off the list"}],
    )
    make_call("ended", batch=batch, outcome="connected")
    progress = dialer.progress(batch, now=timezone.now())
    assert (progress.ended, progress.not_called) == (1, 4)
    page = sign_in(sales).get(path_of(batch, "change")).content.decode()
    assert "<b>4</b>not called" in page


def test_a_batch_of_somebody_else_is_for_managers(sign_in: SignIn, sales: User, manager: User) -> None:
    batch = CallBatch.objects.create(created_by=manager, agent=make_agent(), selection={"ids": []})
    assert sign_in(sales).get(path_of(batch, "sheet")).status_code == 404
    assert sign_in(manager).get(path_of(batch, "sheet")).status_code == 200


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "AT_ONCE", 3)
    monkeypatch.setattr(counting, "PIECE", 2)
    monkeypatch.setattr(counting, "A_REQUEST", -1.0)


@pytest.mark.usefixtures("small_pieces")
def test_a_large_sheet_opens_at_once_and_calls_when_everybody_is_counted(
    sign_in: SignIn, sales: User
) -> None:
    agent = make_agent()
    for _nth in range(5):
        make_lead()
    client = sign_in(sales)
    batch = open_all(client)
    sheet = path_of(batch, "sheet")
    page = client.get(sheet)
    assert "Counting who may be called: 0 of 5" in page.content.decode()
    count = f"{path_of(batch, 'count')}?{page.context['choices']}"
    assert count.replace("&", "&amp;") in page.content.decode()
    chosen = {"agent": agent.pk, "our_number": ""}
    refused = client.post(sheet, chosen).content.decode()
    assert "First everybody is counted: 0 of 5." in refused
    assert not page.context["counted"]

    fragments = [client.get(count) for _nth in range(3)]
    assert ["disabled" in each.content.decode() for each in fragments] == [True, True, False]
    assert ["hx-trigger" in each.content.decode() for each in fragments] == [True, True, False]
    assert "Call 5 leads" in fragments[2].content.decode()
    assert "<html" not in fragments[2].content.decode()
    assert client.get(sheet).context["counted"], "what is counted stays counted"

    client.post(sheet, chosen)
    batch.refresh_from_db()
    assert batch.state == BatchState.FILLING
    assert client.get(count).headers["HX-Refresh"] == "true"


@pytest.mark.usefixtures("small_pieces")
def test_another_choice_counts_anew_and_the_other_window_is_told(sign_in: SignIn, sales: User) -> None:
    make_agent(name="Aaron")
    nora = make_agent(name="Nora")
    for _nth in range(4):
        make_lead()
    client = sign_in(sales)
    batch = open_all(client)
    first = client.get(path_of(batch, "sheet")).context["choices"]
    client.get(f"{path_of(batch, 'count')}?{first}")
    page = client.get(path_of(batch, "sheet"), {"agent": nora.pk})
    assert page.context["counted_to"] == 0
    told = client.get(f"{path_of(batch, 'count')}?{first}").content.decode()
    assert "Count again" in told
    assert "hx-get" not in told


@pytest.mark.usefixtures("small_pieces")
def test_without_scripts_the_counting_goes_on_by_a_link(sign_in: SignIn, sales: User) -> None:
    make_agent()
    for _nth in range(4):
        make_lead()
    client = sign_in(sales)
    batch = open_all(client)
    assert client.get(path_of(batch, "sheet"), {"go_on": "1"}).context["counted_to"] == 2
    assert client.get(path_of(batch, "sheet"), {"go_on": "1"}).context["counted"]


def test_the_sheet_shows_the_agents_readiness_and_red_calls_nobody(sign_in: SignIn, sales: User) -> None:
    agent = make_agent(profile=profile_to_json(replace(HERE, suspended=True, ring_time_ms=5_000)))
    make_lead()
    client = sign_in(sales)
    batch = open_all(client)
    answer = client.get(path_of(batch, "sheet"))
    page = " ".join(answer.content.decode().split())
    assert "The phone company has suspended this agent." in page
    assert "It gives up after 5 s of ringing" in page
    assert "disabled" in page
    assert f"/admin/agents/agent/{agent.pk}/change/" in page
    assert [check.level for check in answer.context["ready"].lines][:2] == ["red", "amber"]
    refused = client.post(path_of(batch, "sheet"), {"agent": agent.pk}).content.decode()
    assert "The phone company has suspended this agent." in refused
    batch.refresh_from_db()
    assert batch.state == BatchState.DRAFT


def test_words_used_last_with_this_agent_are_counted_with(sign_in: SignIn, sales: User) -> None:
    agent = make_agent(
        profile=profile_to_json(replace(HERE, variables_used=frozenset({"plan"}), default_variables={}))
    )
    make_lead(custom={"plan": "Basic"})
    make_lead()
    client = sign_in(sales)
    answer = client.get(path_of(open_all(client), "sheet"))
    assert answer.context["to_call"] == 1
    assert answer.context["ready"].fill_in
    assert "Fill it in on this page." in answer.content.decode()
    client.post(path_of(open_all(client), "sheet"), {"agent": agent.pk, "say_plan": "Premium"})
    answer = client.get(path_of(open_all(client), "sheet"))
    assert answer.context["to_call"] == 2
    assert not answer.context["ready"].fill_in


def test_the_list_leaves_out_sheets_that_were_only_opened(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    make_lead()
    client = sign_in(sales)
    open_all(client)
    started = open_all(client)
    client.post(path_of(started, "sheet"), {"agent": agent.pk})
    page = client.get("/admin/calls/callbatch/")
    assert list(page.context["cl"].result_list) == [started]
    assert (sales.get_full_name() or sales.username) in page.content.decode()
    assert "Show all" not in page.content.decode()
