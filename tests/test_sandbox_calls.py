"""What happens on the sandbox's network: people, ringing back, repeats, limits, answering by hand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from retell import BadRequestError, RateLimitError, Retell
from retell.types import PhoneCallResponse
from webhook_receiver import Received, Receiver, eventually

from agents.sandbox.people import BY_NUMBER, behave
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox

KEY = "key_test_0123456789abcdef"
OURS = NUMBERS[0]
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def running(receiver: Receiver) -> Iterator[Sandbox]:
    with Sandbox(speed=400, seed=3, api_key=KEY, webhook_url=receiver.url, capacity=100) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, receiver: Receiver) -> Iterator[Sandbox]:
    """The network at rest, as it is at the start."""
    receiver.answer = lambda got: (
        (200, {"call_inbound": {}}) if got.path.endswith("/inbound") else (204, None)
    )
    yield running
    running.control("settings", capacity=100, pace=0, speed=400, hold_all=False, full_answers_429=True)
    running.control("reset")
    receiver.received.clear()


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Retell]:
    with Retell(api_key=KEY, base_url=sandbox.url, max_retries=0) as client:
        yield client


def place(client: Retell, to_number: str, **more: Any) -> PhoneCallResponse:
    return client.call.create_phone_call(from_number=OURS, to_number=to_number, **more)


def scripted(digits: str) -> str:
    return f"+141555501{digits}"


def analysed(sandbox: Sandbox, call_id: str) -> dict[str, Any]:
    return eventually(lambda: (found := sandbox.ledger(call_id)) and found["analysed"] and found)


def stage(sandbox: Sandbox, call_id: str, wanted: str) -> dict[str, Any]:
    return eventually(lambda: (found := sandbox.ledger(call_id)) and found["stage"] == wanted and found)


def text_of(response: httpx.Response) -> str:
    return unescape(re.sub(r"<[^>]+>", " ", response.text))


def test_every_scripted_number_does_what_the_table_says(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    sandbox.control("settings", rings_back=False)
    calls = {digits: place(client, scripted(digits)).call_id for digits in BY_NUMBER}
    for digits, call_id in calls.items():
        expected = behave(scripted(digits), seed=3, attempt=1)
        ended = analysed(sandbox, call_id)
        assert (ended["kind"], ended["disconnection_reason"], ended["connected"]) == (
            BY_NUMBER[digits].kind,
            expected.disconnection_reason,
            expected.connects,
        )
        body = ended["retell"]
        if not expected.connects:
            assert body["call_status"] == "not_connected"
            assert not {"start_timestamp", "transcript", "recording_url", "latency"} & set(body)
            assert body["call_cost"]["combined_cost"] == 0
        elif expected.disconnection_reason.startswith("error_"):
            assert body["call_status"] == "error"
        else:
            assert body["call_status"] == "ended"
        eventually(lambda call_id=call_id: "call_analyzed" in receiver.events(call_id))
        events = receiver.events(call_id)
        assert ("call_started" in events) is expected.connects
        assert events.count("call_ended") == events.count("call_analyzed") == 1
    sandbox.control("settings", rings_back=True)


def test_busy_and_invalid_numbers_never_ring(sandbox: Sandbox, client: Retell) -> None:
    for digits, rings in (("08", False), ("11", False), ("09", True), ("01", True)):
        call = place(client, scripted(digits))
        found = stage(sandbox, call.call_id, "over")
        assert (found["rang_ms"] is not None) is rings


def test_a_transfer_that_no_one_takes_is_told_step_by_step(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    call = place(client, scripted("13"))
    ended = analysed(sandbox, call.call_id)
    assert ended["disconnection_reason"] == "transfer_cancelled"
    eventually(lambda: "call_analyzed" in receiver.events(call.call_id))
    events = receiver.events(call.call_id)
    assert events.index("transfer_started") < events.index("transfer_cancelled") < events.index("call_ended")
    started = next(got.json for got in receiver.of(call.call_id) if got.event == "transfer_started")
    assert started["transfer_destination"].startswith("+1")
    roles = [item["role"] for item in ended["retell"]["transcript_with_tool_calls"]]
    assert roles.index("tool_call_invocation") < roles.index("tool_call_result")


def test_a_missed_call_rings_back_and_the_product_says_who_answers(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    asked: list[Received] = []

    def answer(got: Received) -> tuple[int, Any]:
        if not got.path.endswith("/inbound"):
            return 204, None
        asked.append(got)
        return 200, {
            "call_inbound": {
                "override_agent_id": "agent_sandbox_nora",
                "dynamic_variables": {"first_name": "Ines"},
                "metadata": {"call_uuid": "back-1"},
            }
        }

    receiver.answer = answer
    place(client, scripted("15"))
    question = eventually(lambda: asked)[0]
    assert client.verify(question.body.decode(), KEY, question.signature)
    inbound = question.json["call_inbound"]
    assert (inbound["from_number"], inbound["to_number"]) == (scripted("15"), OURS)
    assert inbound["agent_id"] == "agent_sandbox_lena"
    ended = analysed(sandbox, inbound["call_id"])
    body = PhoneCallResponse.model_validate(ended["retell"])
    assert (body.direction, body.agent_id) == ("inbound", "agent_sandbox_nora")
    assert body.metadata == {"call_uuid": "back-1"}
    assert body.retell_llm_dynamic_variables == {"first_name": "Ines"}
    eventually(lambda: "call_analyzed" in receiver.events(inbound["call_id"]))
    assert receiver.events(inbound["call_id"])[0] == "call_started"


def test_who_was_missed_before_does_not_ring_back_either_once_nobody_is_to(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    sandbox.control("settings", speed=40)
    missed = place(client, scripted("15"))
    stage(sandbox, missed.call_id, "over")
    sandbox.control("settings", rings_back=False)
    # A minute of the sandbox's passes in a second and a half.
    time.sleep(2.5)
    sandbox.control("settings", rings_back=True)
    from_them = [
        each
        for each in sandbox.ledger()["calls"]
        if each["direction"] == "inbound" and each["from_number"] == scripted("15")
    ]
    assert from_them == []


@pytest.mark.parametrize(
    "reply",
    [
        (500, None),
        (200, None),
        (200, {}),
        (200, {"call_inbound": "?"}),
        (200, {"call_inbound": {"override_agent_id": "agent_nobody", "dynamic_variables": {"age": 7}}}),
    ],
)
def test_without_a_usable_answer_the_bound_agent_takes_the_call(
    sandbox: Sandbox, receiver: Receiver, reply: tuple[int, Any]
) -> None:
    receiver.answer = lambda got: reply if got.path.endswith("/inbound") else (204, None)
    call_id = sandbox.control("inbound", from_number="+12025550123", to_number=OURS)["call_id"]
    ended = analysed(sandbox, call_id)
    assert ended["agent_id"] == "agent_sandbox_lena"
    assert ended["retell"]["direction"] == "inbound"


def test_a_caller_may_withhold_the_number(sandbox: Sandbox, client: Retell, receiver: Receiver) -> None:
    call_id = sandbox.control("inbound", from_number="anonymous", to_number=OURS)["call_id"]
    asked = eventually(lambda: [got for got in receiver.received if got.path.endswith("/inbound")])[0]
    assert asked.json["call_inbound"]["from_number"] == "anonymous"
    ended = analysed(sandbox, call_id)
    assert PhoneCallResponse.model_validate(ended["retell"]).from_number == "anonymous"


def test_a_rejected_caller_leaves_no_call_at_retell(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    receiver.answer = lambda got: (200, {"call_inbound": {"reject": True}})
    call_id = sandbox.control("inbound", from_number="+12025550123", to_number=OURS)["call_id"]
    assert stage(sandbox, call_id, "over")["retell"] is None
    assert receiver.events(call_id) == []
    assert client.call.list().items == []


def test_the_same_seed_gives_the_same_people(client: Retell, sandbox: Sandbox) -> None:
    numbers = [f"+120255501{place:02}" for place in range(20)]

    def kinds(seed: int) -> list[str]:
        sandbox.control("reset", seed=seed)
        calls = [place(client, number).call_id for number in numbers]
        return [sandbox.ledger(call_id)["kind"] for call_id in calls]

    first = kinds(11)
    assert kinds(11) == first
    assert kinds(12) != first
    sandbox.control("reset", seed=3)


def test_the_same_request_twice_rings_once(sandbox: Sandbox, client: Retell) -> None:
    first = place(client, scripted("01"), idempotency_key="k1", metadata={"call_uuid": "u1"})
    again = place(client, scripted("01"), idempotency_key="k1", metadata={"call_uuid": "u1"})
    assert again.call_id == first.call_id
    with pytest.raises(BadRequestError):
        place(client, scripted("02"), idempotency_key="k1", metadata={"call_uuid": "u1"})
    book = sandbox.ledger()
    assert book["summary"]["calls"] == 1
    assert book["summary"]["creates"] == {"201 accepted": 1, "201 replayed": 1, "400 key reused": 1}
    assert book["summary"]["placed_twice"] == {}

    assert sandbox.control("forget-idempotency-keys") == {"forgotten": 1}
    other = place(client, scripted("01"), idempotency_key="k1", metadata={"call_uuid": "u1"})
    assert other.call_id != first.call_id
    assert sandbox.ledger()["summary"]["placed_twice"] == {"u1": [first.call_id, other.call_id]}


def test_two_calls_at_once_to_one_number_stand_in_the_ledger(sandbox: Sandbox, client: Retell) -> None:
    first, second = place(client, scripted("09")), place(client, scripted("09"))
    assert sandbox.ledger()["summary"]["rung_at_once"] == {scripted("09"): [first.call_id, second.call_id]}


def test_over_the_pace_of_a_line_is_429_and_other_lines_go_on(sandbox: Sandbox, client: Retell) -> None:
    sandbox.control("settings", pace=2)
    place(client, scripted("08"))
    place(client, scripted("09"))
    with pytest.raises(RateLimitError):
        place(client, scripted("10"))
    client.call.create_phone_call(from_number=NUMBERS[2], to_number=scripted("10"))
    assert sandbox.ledger()["summary"]["creates"]["429 over pace"] == 1


def test_over_capacity_is_429_or_by_setting_a_call_that_errs(sandbox: Sandbox, client: Retell) -> None:
    sandbox.control("settings", capacity=1, speed=1)
    first = place(client, scripted("09"))
    assert client.concurrency.retrieve().current_concurrency == 1
    with pytest.raises(RateLimitError):
        place(client, scripted("01"))
    client.call.stop(first.call_id)
    assert client.call.retrieve(first.call_id).call_status == "not_connected"
    sandbox.control("settings", full_answers_429=False, speed=400)
    sandbox.control("settings", capacity=0)
    refused = analysed(sandbox, place(client, scripted("01")).call_id)
    assert refused["disconnection_reason"] == "concurrency_limit_reached"
    assert refused["retell"]["call_status"] == "error"
    assert refused["rang_ms"] is None


def test_an_agents_own_url_and_events_replace_the_accounts(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    with Receiver() as elsewhere:
        call = place(
            client,
            scripted("01"),
            agent_override={"agent": {"webhook_url": elsewhere.url, "webhook_events": ["call_ended"]}},
        )
        analysed(sandbox, call.call_id)
        eventually(lambda: elsewhere.events(call.call_id) == ["call_ended"])
        assert receiver.events(call.call_id) == []


def test_ring_time_and_longest_call_are_the_agents(sandbox: Sandbox, client: Retell) -> None:
    brief = place(client, scripted("06"), agent_override={"agent": {"ring_duration_ms": 5000}})
    assert analysed(sandbox, brief.call_id)["disconnection_reason"] == "dial_no_answer"
    capped = place(client, scripted("01"), agent_override={"agent": {"max_call_duration_ms": 60000}})
    ended = analysed(sandbox, capped.call_id)
    assert ended["disconnection_reason"] == "max_duration_reached"
    assert 60_000 <= ended["duration_ms"] < 62_000


def test_a_held_number_rings_until_somebody_picks_up_and_talks(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    number = "+12025550177"
    with httpx.Client(base_url=sandbox.url, follow_redirects=True) as browser:
        assert "+1 202-555-0177" in text_of(browser.post("/hold", data={"number": number, "on": "1"}))
        call = place(client, number, retell_llm_dynamic_variables={"first_name": "<b>Ana</b>"})
        stage(sandbox, call.call_id, "ringing")
        front = browser.get("/")
        assert "&lt;b&gt;Ana&lt;/b&gt;" in front.text
        assert f'action="/calls/{call.call_id}/pick-up"' in front.text
        assert receiver.events(call.call_id) == []

        browser.post(f"/calls/{call.call_id}/pick-up")
        page = f"/calls/{call.call_id}"
        eventually(lambda: "AI agent" in browser.get(page).text)
        said = "Please never call me again <script>"
        assert "&lt;script&gt;" in browser.post(page + "/say", data={"text": said}).text
        eventually(lambda: receiver.events(call.call_id).count("transcript_updated") >= 3)
        ended = analysed(sandbox, call.call_id)

    assert ended["live"] is True
    assert ended["disconnection_reason"] == "agent_hangup"
    body = PhoneCallResponse.model_validate(ended["retell"])
    assert [turn.role for turn in body.transcript_object][:3] == ["agent", "user", "agent"]
    assert said in body.transcript
    assert body.call_analysis.custom_analysis_data["do_not_call"] is True
    assert httpx.get(body.recording_url).status_code == 200
    eventually(lambda: "call_analyzed" in receiver.events(call.call_id))
    assert receiver.events(call.call_id)[0] == "call_started"


def test_whoever_answers_by_hand_may_decline_or_hang_up(sandbox: Sandbox, client: Retell) -> None:
    sandbox.control("settings", hold_all=True)
    declined, hung_up = place(client, scripted("01")), place(client, scripted("02"))
    for call in (declined, hung_up):
        stage(sandbox, call.call_id, "ringing")
    httpx.post(f"{sandbox.url}/calls/{declined.call_id}/hang-up")
    httpx.post(f"{sandbox.url}/calls/{hung_up.call_id}/pick-up")
    httpx.post(f"{sandbox.url}/calls/{hung_up.call_id}/hang-up")
    assert stage(sandbox, declined.call_id, "over")["disconnection_reason"] == "user_declined"
    assert stage(sandbox, hung_up.call_id, "over")["disconnection_reason"] == "user_hangup"
    late = httpx.post(f"{sandbox.url}/calls/{declined.call_id}/pick-up")
    assert late.status_code == 409
    assert "not ringing" in text_of(late)


def test_a_form_rings_one_of_our_numbers_and_the_visitor_speaks(sandbox: Sandbox, receiver: Receiver) -> None:
    form = {"from_number": "(202) 555-0123", "to_number": NUMBERS[3], "talk": "1"}
    page = httpx.post(f"{sandbox.url}/ring-us", data=form, follow_redirects=True)
    call_id = page.url.path.rsplit("/", 1)[1]
    stage(sandbox, call_id, "talking")
    assert "AI agent" in eventually(
        lambda: (found := text_of(httpx.get(page.url))) and "AI agent" in found and found
    )
    httpx.post(f"{page.url}/say", data={"text": "Hello, who is this?"})
    httpx.post(f"{page.url}/hang-up")
    ended = analysed(sandbox, call_id)
    assert (ended["from_number"], ended["disconnection_reason"]) == ("+12025550123", "user_hangup")
    eventually(lambda: "call_analyzed" in receiver.events(call_id))
    wrong = httpx.post(f"{sandbox.url}/ring-us", data={"from_number": "banana", "to_number": OURS})
    assert wrong.status_code == 400
    assert "not a phone number" in text_of(wrong)


def test_the_page_asks_nothing_of_other_hosts(sandbox: Sandbox) -> None:
    page = httpx.get(sandbox.url + "/")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert not re.findall(r"(?:src|href)=\"https?:", page.text)
    for asset in ("/pages/sandbox.css", "/pages/sandbox.js"):
        assert httpx.get(sandbox.url + asset).status_code == 200
    for person in BY_NUMBER.values():
        assert person.label in text_of(page)


def test_the_command_needs_no_settings_and_prints_where_it_listens() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "manage.py", "sandbox", "--port", "0", "--speed", "50", "--seed", "9"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        said = [process.stdout.readline() for _ in range(4)]
        url = re.search(r"http://127\.0\.0\.1:\d+", said[0])[0]
        key = said[1].split()[-1]
        client = Retell(api_key=key, base_url=url, max_retries=0)
        assert client.identity.retrieve().org_id
        assert place(client, scripted("08")).call_status == "registered"
        assert httpx.get(url + "/control/").json()["settings"]["speed"] == 50
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert "stopped" in rest
