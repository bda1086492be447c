"""Calls are found at Retell by our id, by theirs, by time; and live ones can be steered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from retell_wire import ANSWERS, CALL, FROM, SINCE, SINCE_MS, TO, UUID, Wire, ours

from agents.providers.base import (
    NotFound,
    Refused,
    Unclear,
)


def item(call_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "call_type": "phone_call",
        "call_status": "ended",
        "direction": "outbound",
        "to_number": TO,
        "from_number": FROM,
        "start_timestamp": SINCE_MS + 5_000,
        **fields,
    }


def listing(by_id: list[dict[str, Any]], by_number: list[dict[str, Any]]) -> Callable[[httpx.Request], Any]:
    def answer(request: httpx.Request) -> Any:
        criteria = json.loads(request.content)["filter_criteria"]
        return {"items": by_id if "metadata" in criteria else by_number, "has_more": False}

    return answer


def found(by_id: list[dict[str, Any]], by_number: list[dict[str, Any]]) -> tuple[list[str], Wire]:
    provider, wire = ours({"POST /v3/list-calls": listing(by_id, by_number)})
    reports = provider.find_call(UUID, to_number=TO, since=SINCE)
    return [report.facts.provider_call_id for report in reports], wire


def test_a_call_is_found_by_our_id() -> None:
    calls, wire = found([item("call_1", metadata={"call_uuid": UUID})], [item("call_2")])
    assert calls == ["call_1"]
    assert len(wire.seen) == 1


def test_a_second_ring_under_our_id_is_seen() -> None:
    twice = [item(name, metadata={"call_uuid": UUID}) for name in ("call_1", "call_2")]
    assert found(twice, [])[0] == ["call_1", "call_2"]


def test_a_server_that_ignores_the_filter_does_not_lend_us_its_calls() -> None:
    assert (
        found([item("call_1", metadata={"call_uuid": UUID.replace("8", "9")}), item("call_2")], [])[0] == []
    )


def test_without_our_id_number_and_time_decide() -> None:
    late = SINCE_MS + 16 * 60 * 1000
    calls, wire = found(
        [],
        [
            item("call_ours_by_id", metadata={"call_uuid": UUID}, start_timestamp=late),
            item("call_nobodys"),
            item("call_nobodys_metadata", metadata={"other": "x"}),
            item("call_of_another", metadata={"call_uuid": "11111111-1111-4111-8111-111111111111"}),
            item("call_with_a_strange_id", metadata={"call_uuid": "strange"}),
            item("call_inbound", direction="inbound"),
            item("call_other_number", to_number="+14155550102"),
            item("call_by_a_slower_clock", start_timestamp=SINCE_MS - 60_000),
            item("call_earlier", start_timestamp=SINCE_MS - 120_001),
            item("call_later", start_timestamp=late),
            item("call_without_time", start_timestamp=None),
        ],
    )
    assert calls == ["call_ours_by_id", "call_nobodys", "call_nobodys_metadata", "call_by_a_slower_clock"]
    assert wire.asked()[1][2]["filter_criteria"] == {
        "to_number": {"type": "string", "op": "eq", "value": TO},
        "start_timestamp": {"type": "range", "op": "bt", "value": [SINCE_MS - 120_000, SINCE_MS + 900_000]},
    }


def test_not_there_is_an_answer_and_no_answer_is_an_error() -> None:
    assert found([], [])[0] == []
    for answer in (httpx.Response(200, json={"has_more": False}), httpx.Response(200, json=[CALL])):
        provider, _wire = ours({"POST /v3/list-calls": answer})
        with pytest.raises(Unclear):
            provider.find_call(UUID, to_number=TO, since=SINCE)


def test_calls_that_were_not_asked_for_are_left_out() -> None:
    provider, _wire = ours({"POST /v3/list-calls": {"items": [item("a"), item("b")], "has_more": False}})
    assert [one.facts.provider_call_id for one in provider.fetch_calls(["a", "c"])] == ["a"]


def test_no_ids_are_no_request_and_more_than_a_hundred_a_mistake() -> None:
    provider, wire = ours({})
    assert provider.fetch_calls([]) == []
    with pytest.raises(ValueError, match="100"):
        provider.fetch_calls([str(number) for number in range(101)])
    assert wire.seen == []


def test_each_call_of_a_list_is_a_report_that_can_be_read_again() -> None:
    provider, _wire = ours({
        "POST /v3/list-calls": {"items": [item("a"), item("b")], "has_more": True, "pagination_key": "k2"},
    })  # fmt: skip
    page = provider.recent_calls(since=SINCE)
    assert page.next_key == "k2"
    assert [provider.read_call(one.body) for one in page.reports] == [one.facts for one in page.reports]


def test_the_last_page_has_no_next_one() -> None:
    provider, _wire = ours({
        "POST /v3/list-calls": {"items": [], "has_more": False, "pagination_key": "left over"},
    })  # fmt: skip
    assert provider.recent_calls(since=SINCE).next_key is None


def test_an_id_with_strange_characters_stays_one_part_of_the_path() -> None:
    provider, wire = ours({})
    with pytest.raises(NotFound):
        provider.fetch_call("../v2/x?y#z")
    assert wire.asked()[0][1] == "/v2/get-call/..%2Fv2%2Fx%3Fy%23z"


def test_an_unknown_call_is_not_found_although_retell_says_422() -> None:
    answer = httpx.Response(
        422, json={"status": "error", "message": "Cannot find requested asset under given api key."}
    )
    provider, _wire = ours({"GET /v2/get-call/call_1": answer, "POST /v2/stop-call/call_1": answer})
    for ask in (provider.fetch_call, provider.hang_up):
        with pytest.raises(NotFound):
            ask("call_1")


def test_steering_sends_only_what_was_given() -> None:
    provider, wire = ours(ANSWERS)
    provider.steer("call_1", answer_now=True)
    provider.steer("call_1", variables={"price": None})
    provider.steer("call_1")
    assert [body for _method, _path, body in wire.asked()] == [
        {"call_control": {"trigger_response": True}},
        {"fields_to_override": {"override_dynamic_variables": {"price": None}}},
    ]


def test_a_call_that_did_not_take_the_steering_is_no_success() -> None:
    provider, _wire = ours({"PATCH /v2/update-live-call/call_1": {"success": False}})
    with pytest.raises(Refused):
        provider.steer("call_1", context="x")
