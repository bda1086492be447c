"""The front page: figures of the days asked for, over what each person may see, and what to do when empty."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from calls import dialer, recording_copies
from calls.admin import cards, charts, formats
from calls.models import Call, CallBack, CallStatus, RecordingCopy, Via
from calls.models.callback import CallBackState
from calls.stats import FIGURES
from tests.conftest import make_person
from tests.factories import make_agent, make_call, make_lead, make_number

pytestmark = pytest.mark.django_db
SignIn = Callable[[User], Client]


def test_an_empty_desk_says_what_to_do_first(sales: User, sign_in: SignIn) -> None:
    page = sign_in(sales).get("/admin/").content.decode()
    assert "Three steps to the first call" in page
    assert "(done)" not in page
    make_agent()
    make_lead(owner=sales)
    assert sign_in(sales).get("/admin/").content.decode().count("(done)") == 2


def test_days_without_calls_say_so_and_lead_to_all_calls(sales: User, sign_in: SignIn) -> None:
    make_call("ended", now=timezone.now() - timedelta(days=40))
    page = sign_in(sales).get("/admin/?days=7").content.decode()
    assert "No calls in these days" in page
    assert "Three steps" not in page


def test_each_card_shows_its_value_its_formula_and_the_change(manager: User, sign_in: SignIn) -> None:
    now = timezone.now()
    for _ in range(3):
        make_call("ended", now=now)
    make_call("ended", now=now, outcome="no_answer", answered_by="", duration_ms=0)
    for days in (8, 9):
        make_call("ended", now=now - timedelta(days=days))
    answer = sign_in(manager).get("/admin/?days=7")
    shown = {card.figure.id: card for card in answer.context["dashboard"]["cards"]}
    assert {id: card.value for id, card in shown.items()} == {
        "dialled": "4",
        "picked_up": "75.0 %",
        "reached": "75.0 %",
        "talk_time": "3 min 00 s",
        "cost": "$0.48",
        "conversions": "0",
    }
    change = shown["dialled"].change
    assert change is not None
    assert (change.trend, change.shown, change.before) == (cards.Trend.UP, "100.0 %", "2")
    change = shown["reached"].change
    assert change is not None
    assert (change.trend, change.shown, change.before) == (cards.Trend.DOWN, "25.0 points", "100.0 %")
    assert shown["reached"].note == "3 of 4 dialled and ended"
    page = answer.content.decode()
    for card in shown.values():
        assert str(card.figure.label) in page
        assert escape(str(card.figure.formula)) in page


def test_the_names_that_mean_opposite_things_appear_nowhere(manager: User, sign_in: SignIn) -> None:
    make_call("ended")
    page = sign_in(manager).get("/admin/").content.decode().lower()
    assert "connect rate" not in page
    assert "answer rate" not in page


def test_every_link_of_the_page_opens(manager: User, sign_in: SignIn) -> None:
    make_call("ended", local_hour=10, local_weekday=2)
    make_call("ended", direction="inbound")
    make_call("in_progress")
    make_call("queued")
    make_call("ended", outcome="unknown", answered_by="")
    client = sign_in(manager)
    page = client.get("/admin/").content.decode()
    found = {link.replace("&amp;", "&") for link in re.findall(r'href="(/admin/[^"]*|\?[^"]*)"', page)}
    lists = {link for link in found if "figure=" in link}
    assert len(lists) > 15
    for link in found:
        assert client.get(link if link.startswith("/") else f"/admin/{link}").status_code == 200, link
    # Every figure of the page is a link that asks for that figure.
    asked = {parse_qs(urlsplit(link).query)["figure"][0] for link in lists}
    assert asked >= {"dialled", "picked_up", "reached", "talk_time", "cost", "conversions", "calls_in"}
    assert asked <= set(FIGURES)


def test_a_range_and_an_agent_may_be_asked_for(manager: User, sign_in: SignIn) -> None:
    emma, carlos = make_agent(name="Emma"), make_agent(name="Carlos")
    then = timezone.now() - timedelta(days=100)
    make_call("ended", now=then, agent=emma)
    make_call("ended", now=then, agent=carlos)
    day = then.date().isoformat()
    client = sign_in(manager)

    def dialled(query: str) -> str:
        return str(client.get(f"/admin/?{query}").context["dashboard"]["cards"][0].value)

    assert dialled("days=90") == "0"
    assert dialled(f"from={day}&to={day}") == "2"
    assert dialled(f"from={day}") == "2"
    assert dialled(f"from={day}&to={day}&agent={emma.pk}") == "1"


@pytest.mark.parametrize(
    "query",
    ["from=yesterday", "from=2026-02-30&to=2026-03-01", "from=<script>", "from=0001-01-01", "to=9999-12-31"],
)
def test_a_range_that_is_none_is_told_and_the_usual_one_shown(
    query: str, manager: User, sign_in: SignIn
) -> None:
    answer = sign_in(manager).get(f"/admin/?{query}")
    question = answer.context["dashboard"]["asked"]
    assert question.problem
    assert question.days == 30
    assert "<script>”" not in answer.content.decode()


@pytest.mark.parametrize(
    "query", ["days=x", "days=99999999", "agent=none", "agent=99999999999999", "days=７"]
)
def test_other_nonsense_in_the_address_is_harmless(query: str, manager: User, sign_in: SignIn) -> None:
    assert sign_in(manager).get(f"/admin/?{query}").status_code == 200


def test_sales_staff_see_figures_over_their_own_and_nobodys(
    sales: User, manager: User, sign_in: SignIn
) -> None:
    make_call("ended", lead=make_lead(owner=sales))
    make_call("in_progress", lead=make_lead(owner=sales, name="Mine On The Phone"))
    make_call("in_progress", lead=make_lead(owner=manager, name="Not Mine At All"))
    make_call("queued", lead=make_lead(owner=manager))
    answer = sign_in(sales).get("/admin/")
    assert answer.context["dashboard"]["cards"][0].value == "2"
    now = answer.context["now"]
    assert (now.on_count, now.waiting_count) == ("1", "0")
    page = answer.content.decode()
    assert "Mine On The Phone" in page
    assert "Not Mine At All" not in page


def test_staff_without_a_group_are_told_whom_to_ask(sign_in: SignIn, db: None) -> None:
    nobody = User.objects.create_user("nobody", is_staff=True)
    make_call("ended")
    answer = sign_in(nobody).get("/admin/")
    assert "dashboard" not in answer.context
    assert "Your account may not see calls yet" in answer.content.decode()


def test_right_now_names_who_is_on_the_phone_and_what_the_rest_waits_for(
    manager: User, sign_in: SignIn
) -> None:
    make_call("in_progress", lead=make_lead(name="Ada <i>Sample</i>"))
    make_call("in_progress", lead=None, counterpart="+14155550199", direction="inbound")
    make_call("queued")
    CallBack.objects.create(
        number="+14155550101", due_at=timezone.now() - timedelta(days=1), state=CallBackState.MISSED
    )
    answer = sign_in(manager).get("/admin/now/")
    page = answer.content.decode()
    assert "Ada &lt;i&gt;Sample&lt;/i&gt;" in page
    assert "+1 415-555-0199" in page
    assert "No dialer is running." in page
    assert "Promised call-backs that were missed" in page
    assert "<html" not in page


def test_the_panel_sends_whoever_is_signed_out_to_the_login(client: Client, db: None) -> None:
    answer = client.get("/admin/now/")
    assert answer.headers["HX-Refresh"] == "true"
    assert answer.content == b""


def test_the_number_of_queries_does_not_grow_with_the_calls(manager: User, sign_in: SignIn) -> None:
    client = sign_in(manager)
    agent = make_agent()

    def queries() -> int:
        client.get("/admin/")
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            client.get("/admin/")
        return len(captured)

    for status in CallStatus.values:
        make_call(status, agent=agent)
    few = queries()
    for _ in range(6):
        for status in CallStatus.values:
            make_call(status, agent=agent)
    assert queries() == few


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 4), (3, 4), (5, 8), (9, 12), (87, 100), (101, 120), (999, 1000), (1234, 1600)]
)
def test_an_axis_ends_on_a_round_number_in_four_steps(highest: int, top: int) -> None:
    assert charts.ceiling(highest) == top


def test_a_course_needs_two_known_days_and_something_to_show() -> None:
    assert charts.spark([None, 3, None]) is None
    assert charts.spark([0, 0, 0]) is None
    line = charts.spark([0, 10, None, 5])
    assert line is not None
    assert line.line == "0,100 1,8 3,54"
    assert line.width == 3


def test_money_and_time_read_as_people_write_them() -> None:
    assert formats.money(4_304_800_000, "USD") == "$4,304.80"
    assert formats.money(12_300, "USD") == "$0.0123"
    assert formats.money(2_500_000, "CHF") == "2.50 CHF"
    assert formats.amounts([]) == "–"
    assert [formats.talk(ms) for ms in (0, 40_000, 127_000, 45_240_000)] == [
        "0 s",
        "40 s",
        "2 min 07 s",
        "12 h 34 min",
    ]
    assert [formats.clock(seconds) for seconds in (7, 760, 3750)] == ["0:07", "12:40", "1:02:30"]
    assert formats.percent(None) == "–"


def test_each_reason_for_waiting_leads_to_the_calls_it_counts(manager: User, sign_in: SignIn) -> None:
    now = timezone.now()
    later = [make_call(due_at=now + timedelta(hours=1), not_after=now + timedelta(hours=2)) for _nth in "ab"]
    due = make_call()
    client = sign_in(manager)
    page = client.get("/admin/")
    reasons = {reason.code: reason for reason in page.context["now"].waiting}
    assert {code: reason.count for code, reason in reasons.items()} == {"due_later": "2", "no_dialer": "1"}
    for code, rows in (("due_later", later), ("no_dialer", [due])):
        assert f'href="{reasons[code].url}"' in page.content.decode()
        assert set(client.get(reasons[code].url).context["cl"].result_list) == set(rows)


def test_a_call_of_mine_that_was_never_made_is_told_to_me(
    sales: User, manager: User, sign_in: SignIn
) -> None:
    lead = make_lead(owner=sales)
    never_made = make_call(
        lead=lead,
        status="ended",
        outcome="expired",
        outcome_evidence="Not made in time.",
        requested_by=sales,
        ended_at=timezone.now(),
        sent_at=None,
        provider_call_id="",
        placed_at=None,
        answered_at=None,
        answered_by="",
        duration_ms=None,
    )
    make_call(status="ended", outcome="expired", ended_at=timezone.now(), lead=lead)
    words = "Calls you asked for that were never made"
    client = sign_in(sales)
    look = next(look for look in client.get("/admin/").context["now"].looks if look.text == words)
    assert look.count == "1"
    assert list(client.get(look.url).context["cl"].result_list) == [never_made]
    page = client.get(f"/admin/calls/lead/{lead.pk}/change/").content.decode()
    assert "Not made in time." in page
    assert words not in sign_in(manager).get("/admin/").content.decode()


def test_a_call_i_asked_for_while_it_was_waiting_already_is_told_to_me_too(
    sales: User, manager: User, sign_in: SignIn
) -> None:
    lead, agent, now = make_lead(), make_agent(), timezone.now()
    by_manager = dialer.ask(lead=lead, agent=agent, by=manager, via=Via.DESK, now=now).call
    adopted = dialer.ask(lead=lead, agent=agent, by=sales, via=Via.DESK, now=now)
    assert (adopted.call, adopted.adopted) == (by_manager, True)
    Call.objects.filter(pk=by_manager.pk).update(
        status="ended", outcome="expired", outcome_evidence="Not made in time.", ended_at=now
    )
    words = "Calls you asked for that were never made"
    for person in (sales, manager):
        client = sign_in(person)
        look = next(look for look in client.get("/admin/").context["now"].looks if look.text == words)
        assert look.count == "1"
        assert list(client.get(look.url).context["cl"].result_list) == [by_manager]


def test_a_call_i_asked_for_that_waited_for_a_colleagues_lead_is_mine_to_see_and_its_end_is_told(
    sales: User, sign_in: SignIn
) -> None:
    """The same telephone may belong to two leads: the call that waits for one is taken over for the other."""
    ben, eva = (make_person(name, "Sales") for name in ("ben", "eva"))
    number, agent, now = "+14155550155", make_agent(), timezone.now()
    waits = dialer.ask(lead=make_lead(number, owner=ben), agent=agent, by=ben, via=Via.DESK, now=now).call
    mine = make_lead(number, owner=sales)
    assert dialer.ask(lead=mine, agent=agent, by=sales, via=Via.DESK, now=now).call == waits
    page, words = f"/admin/calls/call/{waits.pk}/change/", "Calls you asked for that were never made"
    Call.objects.filter(pk=waits.pk).update(
        status="ended", outcome="expired", outcome_evidence="Not made in time.", ended_at=now
    )
    for person in (sales, ben):
        client = sign_in(person)
        assert "Not made in time." in client.get(page).content.decode()
        look = next(look for look in client.get("/admin/").context["now"].looks if look.text == words)
        assert list(client.get(look.url).context["cl"].result_list) == [waits]
    client = sign_in(eva)
    assert client.get(page).status_code == 404
    assert not [look for look in client.get("/admin/").context["now"].looks if look.text == words]


def test_who_asked_first_still_sees_a_call_that_a_colleague_makes_instead(sales: User) -> None:
    ben = make_person("ben", "Sales")
    lead = make_lead("+14155550155", owner=make_person("eva", "Sales"))
    asked = dialer.ask(lead=lead, agent=make_agent(), by=ben, via=Via.DESK, now=timezone.now())
    taken = dialer.ask(
        lead=lead,
        agent=None,
        desk_number="+14155550190",
        our_number=make_number().number,
        by=sales,
        via=Via.DESK,
        now=timezone.now(),
    )
    assert (taken.adopted, taken.call) == (True, asked.call)
    for person in (sales, ben):
        assert Call.objects.visible_to(person).asked_for_by(person).get() == asked.call


def test_recordings_that_could_not_be_copied_are_told_to_managers_who_can_try_again(
    sales: User, manager: User, sign_in: SignIn, settings: LazySettings
) -> None:
    settings.RECORDINGS = "copy"
    failed, kept = (make_call("ended", recording_url="https://example.com/a.wav") for _nth in "ab")
    now = timezone.now()
    RecordingCopy.objects.create(
        call=failed, state="failed", tries=13, next_try_at=now, problem="<b>gone</b> at the phone company"
    )
    RecordingCopy.objects.create(
        call=kept, state="kept", next_try_at=now, sha256="0" * 64, copied_at=now, content_type="audio/wav"
    )
    words = "Recordings that could not be copied"
    client = sign_in(manager)
    look = next(look for look in client.get("/admin/").context["now"].looks if look.text == words)
    assert look.count == "1"
    assert list(client.get(look.url).context["cl"].result_list) == [failed]
    page = f"/admin/calls/call/{failed.pk}/"
    assert "&lt;b&gt;gone&lt;/b&gt; at the phone company" in client.get(f"{page}change/").content.decode()
    for told in ("copied again in a moment", "being copied, or is kept here"):
        assert told in client.post(f"{page}copy-again/", follow=True).content.decode()
    row = RecordingCopy.objects.get(call=failed)
    assert (row.state, row.tries) == ("waiting", 0)
    assert words not in client.get("/admin/").content.decode()
    assert recording_copies.due(now=timezone.now()) == [failed.pk]
    RecordingCopy.objects.filter(pk=failed.pk).update(state="failed")
    again = "/admin/calls/call/copy-again/"
    assert again not in client.get("/admin/calls/call/").content.decode()
    assert "Try the one recording again" in client.get(look.url).content.decode()
    assert client.get(again).status_code == 405
    assert "1 recording is copied again" in client.post(again, follow=True).content.decode()
    assert set(RecordingCopy.objects.values_list("state", flat=True)) == {"waiting", "kept"}
    RecordingCopy.objects.filter(pk=failed.pk).update(state="failed")
    client = sign_in(sales)
    assert again not in client.get(look.url).content.decode()
    assert client.post(again).status_code == 403
    assert words not in client.get("/admin/").content.decode()
    assert "could not be copied" not in client.get(f"{page}change/").content.decode()
    assert client.post(f"{page}copy-again/").status_code == 403
