"""What can be made to go wrong does, as often as it was told to, and stands in the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from retell import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    InternalServerError,
    RateLimitError,
    Retell,
)
from retell.types import PhoneCallResponse
from webhook_receiver import Received, Receiver, eventually

from agents.sandbox.faults import NAMES, Faults
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox

KEY = "key_test_0123456789abcdef"
ONCE = {"next": 1}
TALKS, SILENT = "+14155550101", "+14155550108"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def running(receiver: Receiver) -> Iterator[Sandbox]:
    with Sandbox(speed=400, seed=5, api_key=KEY, webhook_url=receiver.url) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, receiver: Receiver) -> Iterator[Sandbox]:
    yield running
    receiver.answer = lambda _: (204, None)
    running.control("settings", list_lag_s=0, signed_url_s=86_400, webhook_key=KEY, speed=400)
    running.control("reset")
    receiver.received.clear()


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Retell]:
    with Retell(api_key=KEY, base_url=sandbox.url, max_retries=0) as client:
        yield client


def place(client: Retell, to_number: str = SILENT, **more: Any) -> PhoneCallResponse:
    return client.call.create_phone_call(from_number=NUMBERS[0], to_number=to_number, **more)


def analysed(sandbox: Sandbox, call_id: str) -> dict[str, Any]:
    return eventually(lambda: (found := sandbox.ledger(call_id)) and found["analysed"] and found)


@pytest.mark.parametrize(
    ("fault", "error", "booked"),
    [
        ("create_429", RateLimitError, "429 fault"),
        ("create_500_before", InternalServerError, "500 fault"),
        ("create_402", APIStatusError, "402 fault"),
        ("answer_401", AuthenticationError, "401 fault"),
    ],
)
def test_a_refusal_makes_no_call(
    sandbox: Sandbox, client: Retell, fault: str, error: type[Exception], booked: str
) -> None:
    sandbox.control("faults", **{fault: ONCE})
    with pytest.raises(error):
        place(client)
    assert sandbox.ledger()["summary"]["calls"] == 0
    assert sandbox.ledger()["summary"]["creates"] == {booked: 1}
    place(client)
    assert sandbox.ledger()["summary"]["calls"] == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("create_500_after", InternalServerError),
        ("create_disconnect_after", APIConnectionError),
        ("create_unreadable", Exception),
    ],
)
def test_an_answer_can_be_lost_though_the_telephone_rings(
    sandbox: Sandbox, client: Retell, fault: str, error: type[Exception]
) -> None:
    sandbox.control("faults", **{fault: ONCE})
    metadata = {"call_uuid": "lost"}
    if fault == "create_unreadable":
        answer = client.call.with_raw_response.create_phone_call(
            from_number=NUMBERS[0], to_number=TALKS, metadata=metadata, idempotency_key="k"
        )
        assert answer.http_response.status_code == 201
        assert not answer.http_response.text.startswith("{")
    else:
        with pytest.raises(error):
            place(client, TALKS, metadata=metadata, idempotency_key="k")
    mine = {"metadata": [{"type": "string", "op": "eq", "key": "call_uuid", "value": "lost"}]}
    found = client.call.list(filter_criteria=mine).items
    assert len(found) == 1
    replayed = place(client, TALKS, metadata=metadata, idempotency_key="k")
    assert replayed.call_id == found[0].call_id
    assert sandbox.ledger()["summary"]["placed_twice"] == {}


def test_an_answer_can_come_late(sandbox: Sandbox, client: Retell) -> None:
    sandbox.control("faults", create_hang_after={"next": 2, "seconds": 1})
    begun = time.monotonic()
    place(client)
    assert time.monotonic() - begun >= 1
    with pytest.raises(APITimeoutError):
        client.with_options(timeout=0.2).call.create_phone_call(from_number=NUMBERS[0], to_number=SILENT)
    assert sandbox.ledger()["summary"]["calls"] == 2


def test_reading_can_fail_too(sandbox: Sandbox, client: Retell) -> None:
    sandbox.control("faults", read_429=ONCE)
    with pytest.raises(RateLimitError) as refusal:
        client.call.list()
    assert refusal.value.response.headers["Retry-After"] == "1"
    sandbox.control("faults", read_500=ONCE)
    with pytest.raises(InternalServerError):
        client.concurrency.retrieve()
    sandbox.control("faults", read_hang={"next": 1, "seconds": 0.5})
    with pytest.raises(APITimeoutError):
        client.with_options(timeout=0.2).concurrency.retrieve()
    assert client.concurrency.retrieve().concurrency_limit == 20


def test_a_dropped_event_never_comes_and_the_ledger_knows(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    sandbox.control("faults", webhook_drop={"probability": 1, "event": "call_ended"})
    call = place(client)
    eventually(lambda: receiver.events(call.call_id) == ["call_analyzed"])
    assert sandbox.ledger(call.call_id)["webhooks_dropped"] == ["call_ended"]


def test_a_doubled_event_comes_twice_with_the_same_body(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    sandbox.control("faults", webhook_double={"next": 1, "event": "call_ended"})
    call = place(client)
    eventually(lambda: receiver.events(call.call_id).count("call_ended") == 2)
    bodies = {got.body for got in receiver.of(call.call_id) if got.event == "call_ended"}
    assert len(bodies) == 1


def test_a_delayed_event_comes_after_the_later_ones(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    sandbox.control("faults", webhook_delay={"next": 1, "event": "call_ended", "seconds": 0.5})
    call = place(client)
    eventually(lambda: receiver.events(call.call_id) == ["call_analyzed", "call_ended"])


def test_a_reordered_event_comes_after_the_next(sandbox: Sandbox, client: Retell, receiver: Receiver) -> None:
    sandbox.control("faults", webhook_reorder={"next": 1, "event": "call_ended"})
    call = place(client)
    eventually(lambda: receiver.events(call.call_id) == ["call_analyzed", "call_ended"], within_s=4)


def test_events_of_a_call_arrive_in_order_while_all_is_well(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    calls = [place(client, TALKS) for _ in range(8)]
    for call in calls:
        eventually(lambda call=call: "call_analyzed" in receiver.events(call.call_id))
        events = receiver.events(call.call_id)
        assert events[0] == "call_started"
        assert events[-2:] == ["call_ended", "call_analyzed"]
        lengths = [
            len(got.json["transcript_with_tool_calls"])
            for got in receiver.of(call.call_id)
            if got.event == "transcript_updated"
        ]
        assert lengths == sorted(lengths)


def test_an_event_is_tried_four_times_each_newly_signed(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    receiver.answer = lambda got: (503, None) if got.event == "call_ended" else (204, None)
    call = place(client)
    tries = eventually(
        lambda: (
            (got := [one for one in receiver.of(call.call_id) if one.event == "call_ended"])
            and len(got) == 4
            and got
        )
    )
    assert "call_analyzed" in receiver.events(call.call_id)
    assert len({got.body for got in tries}) == 1
    assert len({got.signature for got in tries}) == 4
    assert all(client.verify(got.body.decode(), KEY, got.signature) for got in tries)
    time.sleep(0.3)
    deliveries = sandbox.ledger(call.call_id)["webhooks"]
    statuses = [(one["attempt"], one["status"]) for one in deliveries if one["event"] == "call_ended"]
    assert statuses == [(1, 503), (2, 503), (3, 503), (4, 503)]


def test_a_slow_receiver_does_not_hold_back_the_next_event(
    sandbox: Sandbox, client: Retell, receiver: Receiver
) -> None:
    def slow(got: Received) -> tuple[int, Any]:
        if got.event == "call_ended":
            time.sleep(3)
        return 204, None

    receiver.answer = slow
    begun = time.monotonic()
    call = place(client)
    eventually(lambda: "call_analyzed" in receiver.events(call.call_id), within_s=2.5)
    assert time.monotonic() - begun < 2.5


def test_another_key_signs_wrongly(sandbox: Sandbox, client: Retell, receiver: Receiver) -> None:
    sandbox.control("faults", webhook_bad_signature={"next": 1, "event": "call_ended"})
    call = place(client)
    eventually(lambda: "call_analyzed" in receiver.events(call.call_id))
    verdicts = {
        got.event: client.verify(got.body.decode(), KEY, got.signature) for got in receiver.of(call.call_id)
    }
    assert verdicts == {"call_ended": False, "call_analyzed": True}
    sandbox.control("settings", webhook_key="key_rotated")
    call = place(client)
    got = eventually(lambda: receiver.of(call.call_id))[0]
    assert client.verify(got.body.decode(), "key_rotated", got.signature)


def test_a_lagging_list_shows_a_call_later(sandbox: Sandbox, client: Retell) -> None:
    sandbox.control("settings", list_lag_s=1)
    call = place(client)
    assert client.call.list().items == []
    assert client.call.retrieve(call.call_id).call_id == call.call_id
    eventually(lambda: client.call.list().items, within_s=3)


def test_a_signed_recording_link_expires(sandbox: Sandbox, client: Retell) -> None:
    sandbox.control("settings", signed_url_s=1)
    call = place(client, TALKS, override_agent_id="agent_sandbox_lena")
    url = analysed(sandbox, call.call_id)["retell"]["recording_url"]
    fresh = client.call.retrieve(call.call_id).recording_url
    assert httpx.get(fresh).status_code == 200
    assert httpx.get(url.replace("Signature=", "Signature=0")).status_code == 403
    eventually(lambda: httpx.get(fresh).status_code == 403, within_s=4)
    assert httpx.get(client.call.retrieve(call.call_id).recording_url).status_code == 200


def test_chance_is_repeatable_by_seed(sandbox: Sandbox, client: Retell) -> None:
    def run() -> list[int]:
        sandbox.control("reset", seed=21)
        sandbox.control("faults", create_429={"probability": 0.5})
        for _ in range(20):
            httpx.post(
                sandbox.url + "/v2/create-phone-call",
                json={"from_number": NUMBERS[0], "to_number": SILENT},
                headers={"Authorization": f"Bearer {KEY}"},
            )
        return [request["status"] for request in sandbox.ledger()["creates"]]

    first = run()
    assert 3 < first.count(429) < 17
    assert run() == first


def strikes(numbers: list[str], seed: int = 3) -> dict[str, float]:
    """Number -> seconds, of those whom a fault of every tenth call strikes."""
    faults = Faults(seed)
    faults.set("webhook_delay", {"probability": 0.1, "seconds": 1, "up_to": 5})
    found = {number: faults.take("webhook_delay", event="call_ended", key=number) for number in numbers}
    return {number: fault.seconds for number, fault in found.items() if fault is not None}


def test_the_same_calls_are_struck_whatever_order_threads_come_in() -> None:
    numbers = [f"+1212555{line:04d}" for line in range(2000)]
    struck = strikes(numbers)
    assert strikes(numbers[::-1]) == struck
    assert strikes(numbers, seed=4) != struck
    assert 150 < len(struck) < 250
    assert all(1 <= seconds <= 5 for seconds in struck.values())
    assert max(struck.values()) - min(struck.values()) > 3


def test_the_ledger_is_read_page_by_page(sandbox: Sandbox, client: Retell, receiver: Receiver) -> None:
    sandbox.control("faults", webhook_drop={"next": 1, "event": "call_ended"}, create_500_after=ONCE)
    with pytest.raises(InternalServerError):
        place(client, metadata={"call_uuid": "ours-0"})
    for line in range(1, 4):
        place(client, f"+1415555011{line - 1}", metadata={"call_uuid": f"ours-{line}"})
    eventually(lambda: sandbox.ledger("summary")["open"] == 0)
    eventually(lambda: len(list(sandbox.book("webhooks"))) >= 7)

    first = httpx.get(f"{sandbox.url}/control/ledger/calls", params={"limit": 3}).json()
    rest = httpx.get(
        f"{sandbox.url}/control/ledger/calls", params={"limit": 3, "after": first["next"]}
    ).json()
    assert (first["total"], rest["total"], rest["next"]) == (4, 4, None)
    calls = first["items"] + rest["items"]
    assert calls == list(sandbox.book("calls")) == sandbox.ledger()["calls"]
    assert [call["call_uuid"] for call in calls] == [f"ours-{line}" for line in range(4)]
    assert all(call["ended_ms"] >= call["created_ms"] for call in calls)

    creates = list(sandbox.book("creates"))
    assert [request["call_uuid"] for request in creates] == [call["call_uuid"] for call in calls]
    assert [request["call_id"] for request in creates] == [call["call_id"] for call in calls]
    assert [(request["status"], request["outcome"]) for request in creates] == [
        (500, "accepted"),
        *[(201, "accepted")] * 3,
    ]
    assert all(abs(request["at_ms"] - time.time() * 1000) < 60_000 for request in creates)

    webhooks = list(sandbox.book("webhooks"))
    assert {(webhook["status"], webhook["attempt"]) for webhook in webhooks} == {(204, 1)}
    assert "body" not in webhooks[0]
    (dropped,) = sandbox.book("dropped")
    assert dropped["event"] == "call_ended"
    assert dropped["call_id"] in {call["call_id"] for call in calls}  # whichever ended first


@pytest.mark.parametrize("part", ["?after=-1", "?limit=0", "?limit=100000", "?after=x"])
def test_a_page_that_cannot_be_is_refused(sandbox: Sandbox, part: str) -> None:
    assert httpx.get(f"{sandbox.url}/control/ledger/creates{part}").status_code == 400


@pytest.mark.parametrize(
    ("door", "body"),
    [
        ("faults", {"webhook_lost": {"next": 1}}),
        ("faults", {"create_429": {"often": 1}}),
        ("faults", {"create_429": {"next": "many"}}),
        ("faults", {"create_429": 1}),
        ("settings", {"volume": 11}),
        ("settings", {"speed": 0}),
        ("settings", {"capacity": -1}),
        ("inbound", {"from_number": "4155550101", "to_number": NUMBERS[0]}),
    ],
)
def test_a_wrong_control_request_is_refused_with_a_reason(sandbox: Sandbox, door: str, body: Any) -> None:
    response = httpx.post(f"{sandbox.url}/control/{door}", json=body)
    assert response.status_code == 400
    assert len(response.json()["message"]) > 10


def test_the_state_lists_every_fault_and_an_empty_request_clears_them(sandbox: Sandbox) -> None:
    sandbox.control("faults", webhook_drop={"probability": 0.5}, create_429={"next": 3})
    state = httpx.get(sandbox.url + "/control/").json()
    assert set(state["known_faults"]) == set(NAMES)
    assert set(state["faults"]) == {"webhook_drop", "create_429"}
    assert sandbox.control("faults") == {"faults": {}}
