"""Calls over REST: asked for, taken over, refused with every reason, watched and taken back."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User

from agents.models import Agent
from calls import dialer, eligibility
from calls.models import Call, CallStatus, Direction, Lead, LeadPhone, Outcome, PhoneState, Via, WebhookEvent
from calls.models.do_not_call import DoNotCallSource
from tests import factories
from tests.api_client import CALLS, Api, problem

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 23, 20, tzinfo=UTC)  # noon in Los Angeles
NIGHT = datetime(2026, 11, 23, 8, tzinfo=UTC)  # midnight there
NUMBER = "+14155550142"
# The contract, to the letter.
FIELDS = [
    *("id", "direction", "status", "outcome", "answered_by", "disposition", "lead", "agent", "to_number"),
    *("from_number", "attempt", "provider_call_id", "disconnection_reason", "requested_at", "due_at"),
    *("not_after", "waiting_for", "placed_at", "answered_at", "ended_at", "duration_ms", "cost_micros"),
    *("currency", "sentiment", "summary", "successful", "in_voicemail", "analysis", "final"),
]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def lead() -> Lead:
    return factories.make_lead(NUMBER)


@pytest.fixture
def agent() -> Agent:
    return factories.make_agent(default_caller_id=factories.make_number(number="+12125550100"))


def tell(call: Call, event: str, at: datetime, source: str = "webhook") -> None:
    """A fact about the call, come and read at `at`."""
    WebhookEvent.objects.create(
        key=uuid.uuid4().hex,
        source=source,
        body=b"{}",
        received_at=at,
        applied_at=at,
        next_try_at=at,
        name=event,
        call=call,
        state="applied",
    )


def codes(told: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in told["reasons"]]


@time_machine.travel(NOON, tick=False)
def test_a_call_is_queued_and_says_for_what_it_waits(api: Api, lead: Lead, agent: Agent) -> None:
    response = api.post(CALLS, {"lead": lead.pk, "agent": agent.pk, "variables": {"offer": "10 %"}})
    assert response.status_code == 201
    told = response.json()
    assert sorted(told) == sorted(FIELDS)
    assert (told["status"], told["direction"], told["lead"], told["agent"]) == (
        "queued",
        "outbound",
        lead.pk,
        agent.pk,
    )
    assert (told["to_number"], told["from_number"], told["attempt"]) == (NUMBER, "+12125550100", 1)
    assert told["waiting_for"]["code"] == "no_dialer"
    assert told["outcome"] is None
    assert told["due_at"] == "2026-11-23T20:00:00Z"
    assert told["not_after"] == "2026-11-23T20:10:00Z"
    call = Call.objects.get(pk=told["id"])
    request = call.requests.get()
    assert (request.via, request.api_key) == (Via.API, api.key)
    assert call.variables["offer"] == "10 %"


@time_machine.travel(NIGHT, tick=False)
def test_at_night_it_waits_for_the_morning_there(api: Api, lead: Lead, agent: Agent) -> None:
    told = api.post(CALLS, {"lead": lead.pk, "agent": agent.pk}).json()
    assert told["due_at"] == "2026-11-23T17:00:00Z"
    assert told["not_after"] == "2026-11-23T17:10:00Z"
    assert told["waiting_for"]["code"] == "outside_hours"
    assert told["waiting_for"]["until"] == told["due_at"]


@time_machine.travel(NOON, tick=False)
def test_a_later_call_is_due_when_it_was_asked_for(api: Api, lead: Lead, agent: Agent) -> None:
    body = {
        "lead": lead.pk,
        "agent": agent.pk,
        "due_at": "2026-11-23T23:00:00+02:00",
        "not_after": "2026-11-23T22:00:00Z",
    }
    told = api.post(CALLS, body).json()
    assert (told["due_at"], told["not_after"]) == ("2026-11-23T21:00:00Z", "2026-11-23T22:00:00Z")
    assert told["waiting_for"]["code"] == "due_later"


@time_machine.travel(NOON, tick=False)
def test_a_call_that_waits_already_is_taken_over(api: Api, lead: Lead, agent: Agent, sales: User) -> None:
    waiting = dialer.ask(
        lead=lead, agent=agent, via=Via.DESK, by=sales, now=NOON, due_at=NOON + timedelta(hours=2)
    ).call
    response = api.post(CALLS, {"lead": lead.pk, "agent": agent.pk})
    assert response.status_code == 200
    assert response.json()["id"] == str(waiting.pk)
    assert response.json()["due_at"] == "2026-11-23T20:00:00Z"
    assert Call.objects.count() == 1
    assert {request.via for request in waiting.requests.all()} == {Via.DESK, Via.API}


@pytest.mark.parametrize("status", ["dialing", "unconfirmed", "placed", "ringing", "in_progress"])
@time_machine.travel(NOON, tick=False)
def test_a_number_on_the_phone_is_409_with_the_call_in_the_way(
    api: Api, lead: Lead, agent: Agent, status: str
) -> None:
    busy = factories.make_call(status, lead=lead)
    told = problem(api.post(CALLS, {"lead": lead.pk, "agent": agent.pk}), 409, "on_the_phone")
    assert told["call"] == str(busy.pk)
    assert codes(told) == ["on_the_phone"]


@time_machine.travel(NOON, tick=False)
def test_one_who_rang_us_and_is_on_the_phone_is_409(api: Api, lead: Lead, agent: Agent) -> None:
    factories.make_call("in_progress", lead=lead, direction=Direction.INBOUND)
    problem(api.post(CALLS, {"lead": lead.pk, "agent": agent.pk}), 409, "on_the_phone")


@time_machine.travel(NOON, tick=False)
def test_what_may_never_be_is_422_with_every_reason(api: Api, lead: Lead, agent: Agent) -> None:
    eligibility.opt_out(NUMBER, reason="asked us", source=DoNotCallSource.STAFF, now=NOON)
    LeadPhone.objects.update(state=PhoneState.WRONG)
    agent.active = False
    agent.save(update_fields=["active"])
    told = problem(api.post(CALLS, {"lead": lead.pk, "agent": agent.pk}), 422, "not_allowed")
    assert set(codes(told)) >= {"do_not_call", "wrong_number", "agent_inactive"}
    assert all(set(reason) == {"code", "detail", "until"} and reason["detail"] for reason in told["reasons"])
    assert not Call.objects.exists()


@time_machine.travel(NOON, tick=False)
def test_a_caller_id_that_is_not_ours_is_422(api: Api, lead: Lead, agent: Agent) -> None:
    body = {"lead": lead.pk, "agent": agent.pk, "from_number": "+12125550199"}
    assert codes(problem(api.post(CALLS, body), 422, "not_allowed")) == ["no_caller_id"]


@time_machine.travel(NOON, tick=False)
def test_a_caller_id_can_be_chosen_in_any_spelling(api: Api, lead: Lead, agent: Agent) -> None:
    factories.make_number(number="+13035550111")
    told = api.post(CALLS, {"lead": lead.pk, "agent": agent.pk, "from_number": "(303) 555-0111"}).json()
    assert told["from_number"] == "+13035550111"


@pytest.mark.parametrize(
    ("window", "code"),
    [
        ({"not_after": "2026-11-23T19:00:00Z"}, "expires_before_due"),
        ({"due_at": "2026-11-23T22:00:00Z", "not_after": "2026-11-23T21:00:00Z"}, "expires_before_due"),
        ({"due_at": "9999-12-31T23:59:59Z"}, "due_too_late"),
    ],
)
@time_machine.travel(NOON, tick=False)
def test_a_window_in_which_no_call_fits_is_422(
    api: Api, lead: Lead, agent: Agent, window: dict[str, str], code: str
) -> None:
    told = problem(api.post(CALLS, {"lead": lead.pk, "agent": agent.pk} | window), 422, "not_allowed")
    assert codes(told) == [code]


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"lead": "1"}, "lead", "invalid"),
        ({"lead": True}, "lead", "invalid"),
        ({"lead": 1.5}, "lead", "invalid"),
        ({"agent": None}, "agent", "null"),
        ({"due_at": "2026-11-23"}, "due_at", "no_offset"),
        ({"due_at": "2026-11-23T20:00:00"}, "due_at", "no_offset"),
        ({"due_at": 5}, "due_at", "invalid"),
        ({"from_number": "x"}, "from_number", "unreadable"),
        ({"variables": {"a": 1}}, "variables", "nested"),
        ({"variables": "a"}, "variables", "not_a_dict"),
        ({"due": "2026-11-23T20:00:00Z"}, "due", "unknown_field"),
    ],
)
def test_a_body_that_cannot_be_read_is_400_by_field(
    api: Api, lead: Lead, agent: Agent, change: dict[str, Any], field: str, code: str
) -> None:
    told = problem(api.post(CALLS, {"lead": lead.pk, "agent": agent.pk} | change), 400, "invalid")
    assert [each["code"] for each in told["errors"][field]] == [code]
    assert not Call.objects.exists()


def test_a_lead_or_an_agent_that_is_not_there_is_404(api: Api, lead: Lead, agent: Agent) -> None:
    for nobody in (0, -1, 2**62, 2**63, 1e300):
        problem(api.post(CALLS, {"lead": nobody, "agent": agent.pk}), 404, "lead_not_found")
    problem(api.post(CALLS, {"lead": lead.pk, "agent": 2**70}), 404, "agent_not_found")


def test_one_call_tells_what_was_said_and_what_we_were_told(api: Api) -> None:
    call = factories.make_call(
        "ended",
        summary="Wants a quote.",
        sentiment="positive",
        successful=True,
        in_voicemail=False,
        analysis={"call_back": "tomorrow"},
        proposed_disposition="interested",
        disconnection_reason="user_hangup",
    )
    factories.make_transcript(call, ("agent", "Hello."), ("user", "<b>Hi</b> \u2603"))
    tell(call, "call_ended", NOON)
    tell(call, "call_analyzed", NOON + timedelta(seconds=9), "lookup")
    told = api.get(f"{CALLS}{call.pk}/").json()
    assert sorted(told) == sorted([*FIELDS, "transcript", "events"])
    assert told["transcript"] == [
        {"role": "agent", "content": "Hello.", "start_s": 0.0, "end_s": 3.5},
        {"role": "user", "content": "<b>Hi</b> \u2603", "start_s": 4.0, "end_s": 7.5},
    ]
    assert told["events"] == [
        {"event": "call_ended", "source": "webhook", "received_at": "2026-11-23T20:00:00Z"},
        {"event": "call_analyzed", "source": "lookup", "received_at": "2026-11-23T20:00:09Z"},
    ]
    assert (told["outcome"], told["answered_by"], told["disposition"]) == (
        "connected",
        "person",
        "interested",
    )
    assert (told["duration_ms"], told["cost_micros"], told["currency"]) == (60_000, 120_000, "USD")
    assert (told["sentiment"], told["successful"], told["in_voicemail"]) == ("positive", True, False)
    assert (told["analysis"], told["final"], told["waiting_for"]) == ({"call_back": "tomorrow"}, True, None)


def test_a_call_nobody_has_talked_on_has_an_empty_transcript(api: Api) -> None:
    told = api.get(f"{CALLS}{factories.make_call().pk}/").json()
    assert (told["transcript"], told["events"]) == ([], [])


def test_a_persons_word_wins_over_the_analysis(api: Api) -> None:
    call = factories.make_call("ended", proposed_disposition="interested", disposition="wrong_number")
    assert api.get(f"{CALLS}{call.pk}/").json()["disposition"] == "wrong_number"


def test_the_list_is_filtered(api: Api, lead: Lead, agent: Agent) -> None:
    queued = factories.make_call(lead=lead, agent=agent)
    ended = factories.make_call("ended", outcome=Outcome.BUSY)
    inbound = factories.make_call("ended", direction=Direction.INBOUND, our_number="+442079460011")

    def ids(**query: Any) -> set[str]:
        response = api.get(CALLS, query)
        assert response.status_code == 200, response.content
        return {call["id"] for call in response.json()["results"]}

    assert ids() == {str(call.pk) for call in (queued, ended, inbound)}
    assert ids(status="queued") == ids(lead=lead.pk) == ids(agent=agent.pk) == {str(queued.pk)}
    assert ids(outcome="busy") == {str(ended.pk)}
    assert ids(direction="inbound") == {str(inbound.pk)}
    assert ids(to_number=NUMBER) == ids(to_number="(415) 555-0142") == {str(queued.pk)}
    assert ids(to_number="+442079460011") == {str(inbound.pk)}
    assert ids(lead=2**62) == set()
    assert len(ids(updated_after="0001-01-01T00:00:00+23:59")) == 3
    assert ids(updated_after="9999-12-31T23:59:59-23:59") == set()
    # As curl sends it when nobody escaped the plus.
    assert len(api.get(f"{CALLS}?to_number=+442079460011").json()["results"]) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "gone"),
        ("status", ""),
        ("outcome", "x"),
        ("direction", "up"),
        ("lead", "x"),
        ("lead", ""),
        ("agent", "-1"),
        ("agent", str(2**70)),
        ("to_number", "x"),
        ("to_number", ""),
        ("to_number", "\x00"),
        ("updated_after", "yesterday"),
        ("updated_after", "2026-11-23T20:00:00"),
        ("updated_after", ""),
    ],
)
def test_a_filter_that_cannot_be_read_is_an_error_not_everything(api: Api, name: str, value: str) -> None:
    told = problem(api.get(CALLS, {name: value}), 400, "invalid")
    assert list(told["errors"]) == [name]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        (CALLS, "status, outcome, direction, lead, agent, to_number, updated_after, cursor, page_size"),
        ("/api/v1/leads/", "cursor, page_size"),
        ("/api/v1/agents/", "cursor, page_size"),
        ("/api/v1/do-not-call/", "number, cursor, page_size"),
    ],
)
def test_a_filter_that_does_not_exist_is_an_error_that_lists_those_that_do(
    api: Api, path: str, known: str
) -> None:
    told = problem(api.get(path, {"statuss": "queued", "page_size": 5}), 400, "invalid")
    assert {name: each[0]["code"] for name, each in told["errors"].items()} == {
        "statuss": "unknown_parameter"
    }
    assert known in told["detail"]


def test_updated_after_finds_what_was_written_since_and_nothing_else(api: Api) -> None:
    for minutes in range(3):
        call = factories.make_call("ended")
        Call.objects.filter(pk=call.pk).update(updated_at=NOON + timedelta(minutes=minutes))

    def found(moment: datetime) -> int:
        return len(api.get(CALLS, {"updated_after": moment.isoformat()}).json()["results"])

    assert [found(NOON + timedelta(minutes=minutes)) for minutes in (-1, 0, 1, 2)] == [3, 2, 1, 0]
    assert found(NOON - timedelta(microseconds=1)) == 3


def test_pages_of_calls_asked_for_at_one_moment_neither_skip_nor_repeat(api: Api) -> None:
    made = {str(factories.make_call(now=NOON).pk) for _nth in range(7)}
    seen: list[str] = []
    address: str | None = f"{CALLS}?page_size=2&status=queued"
    while address:
        page = api.get(address).json()
        seen += [call["id"] for call in page["results"]]
        address = page["next"]
    assert len(seen) == 7
    assert set(seen) == made


def test_a_list_costs_the_same_queries_however_many_wait(
    api: Api, django_assert_max_num_queries: Any
) -> None:
    agent = factories.make_agent()
    for _nth in range(15):
        factories.make_call(agent=agent)
    with django_assert_max_num_queries(12):
        results = api.get(CALLS).json()["results"]
    assert {call["waiting_for"]["code"] for call in results} == {"no_dialer"}


def test_a_call_that_waits_is_taken_back_at_once(api: Api) -> None:
    call = factories.make_call()
    response = api.post(f"{CALLS}{call.pk}/cancel/", {"reason": "Order arrived"})
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["outcome"]) == ("ended", "canceled")
    call.refresh_from_db()
    assert call.cancel_reason == "Order arrived"
    problem(api.post(f"{CALLS}{call.pk}/cancel/"), 409, "too_late_to_cancel")


def test_a_call_being_placed_is_marked_and_one_in_conversation_is_not(api: Api) -> None:
    placed, talking = factories.make_call("placed"), factories.make_call("in_progress")
    assert api.post(f"{CALLS}{placed.pk}/cancel/").json()["status"] == "placed"
    placed.refresh_from_db()
    assert placed.cancel_requested_at is not None
    problem(api.post(f"{CALLS}{talking.pk}/cancel/"), 409, "too_late_to_cancel")


def test_hanging_up_is_accepted_while_the_call_is_on(api: Api) -> None:
    talking = factories.make_call("in_progress")
    assert api.post(f"{CALLS}{talking.pk}/hang-up/").status_code == 202
    talking.refresh_from_db()
    assert talking.hang_up_at is not None
    problem(api.post(f"{CALLS}{factories.make_call().pk}/hang-up/"), 409, "not_on")


def test_a_call_that_is_not_there_is_404(api: Api) -> None:
    problem(api.get(f"/api/v1/leads/{2**70}/"), 404, "not_found")
    for path in (f"{CALLS}{uuid.uuid4()}/", f"{CALLS}{uuid.uuid4()}/cancel/", f"{CALLS}seven/"):
        response = api.post(path) if path.endswith("cancel/") else api.get(path)
        problem(response, 404, "not_found")


def test_no_answer_holds_what_only_we_may_know(api: Api) -> None:
    call = factories.make_call(CallStatus.DIALING)
    told = api.get(f"{CALLS}{call.pk}/").json()
    assert not {"place_token", "request_body", "lease_until", "decision", "recording_url"} & set(told)


def test_the_number_of_a_caller_who_withholds_it_is_empty(api: Api) -> None:
    call = factories.make_call(
        "ended", direction=Direction.INBOUND, lead=None, counterpart="", our_number="+14155550199"
    )
    told = api.get(f"{CALLS}{call.pk}/").json()
    assert (told["direction"], told["from_number"], told["to_number"]) == ("inbound", "", "+14155550199")
