"""The filters of list-calls: joined by AND, each {type, op, value} and, for maps, a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.sandbox.phone_call import PhoneCall
from agents.sandbox.retell_answers import ApiError

Body = Mapping[str, Any]
Reader = Callable[[Body], Any]

OPERATORS: Mapping[str, Mapping[str, Callable[[Any, Any], bool]]] = {
    "string": {
        "eq": lambda found, value: found == value,
        "ne": lambda found, value: found != value,
        "sw": lambda found, value: isinstance(found, str) and found.startswith(value),
        "ew": lambda found, value: isinstance(found, str) and found.endswith(value),
        "co": lambda found, value: isinstance(found, str) and value in found,
    },
    "number": {
        "eq": lambda found, value: found == value,
        "ne": lambda found, value: found != value,
        "gt": lambda found, value: _is_number(found) and found > value,
        "ge": lambda found, value: _is_number(found) and found >= value,
        "lt": lambda found, value: _is_number(found) and found < value,
        "le": lambda found, value: _is_number(found) and found <= value,
    },
    "range": {"bt": lambda found, value: _is_number(found) and value[0] <= found <= value[1]},
    "enum": {"in": lambda found, value: found in value},
    "boolean": {"eq": lambda found, value: found is value},
    "present": {"pr": lambda found, _: found is not None, "np": lambda found, _: found is None},
}
VALUES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: _is_number(value),
    "range": lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)),
    "enum": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    "boolean": lambda value: isinstance(value, bool),
    "present": lambda _: True,
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(name: str) -> Reader:
    return lambda body: body.get(name)


def _analysis(name: str) -> Reader:
    return lambda body: (body.get("call_analysis") or {}).get(name)


FIELDS: Mapping[str, tuple[tuple[str, ...], Reader]] = {
    "agent_tag": (("enum",), _plain("agent_tag")),
    "batch_call_id": (("string",), _plain("batch_call_id")),
    "call_id": (("string", "enum"), _plain("call_id")),
    "call_status": (("enum",), _plain("call_status")),
    "call_successful": (("boolean",), _analysis("call_successful")),
    "call_type": (("enum",), _plain("call_type")),
    "combined_cost": (("number", "range"), lambda body: (body.get("call_cost") or {}).get("combined_cost")),
    "data_storage_setting": (("enum",), _plain("data_storage_setting")),
    "direction": (("enum",), _plain("direction")),
    "disconnection_reason": (("enum",), _plain("disconnection_reason")),
    "duration_ms": (("number", "range"), _plain("duration_ms")),
    "e2e_latency_p50": (
        ("number", "range"),
        lambda body: ((body.get("latency") or {}).get("e2e") or {}).get("p50"),
    ),
    "end_timestamp": (("number", "range"), _plain("end_timestamp")),
    "from_number": (("string",), _plain("from_number")),
    "in_voicemail": (("boolean",), _analysis("in_voicemail")),
    "start_timestamp": (("number", "range"), _plain("start_timestamp")),
    "to_number": (("string",), _plain("to_number")),
    "user_sentiment": (("enum",), _analysis("user_sentiment")),
}
MAPS: Mapping[str, Reader] = {
    "custom_analysis_data": _analysis("custom_analysis_data"),
    "custom_attributes": _plain("custom_attributes"),
    "dynamic_variables": _plain("retell_llm_dynamic_variables"),
    "metadata": _plain("metadata"),
}
EARLY = frozenset(
    {
        "agent", "agent_tag", "call_id", "call_status", "call_type", "data_storage_setting", "direction",
        "dynamic_variables", "from_number", "metadata", "to_number",
    }
)  # fmt: skip
"""Filters that look only at what a call object has from its first moment."""
STATUSES = {"not_connected", "ongoing", "ended", "error"}


Tests = list[Callable[[Body], bool]]


def read_filters(criteria: object) -> tuple[Tests, Tests]:
    """Tests for a call's basic fields, and those that need the whole call object. Raises ApiError 400."""
    early: Tests = []
    late: Tests = []
    if criteria is None:
        return early, late
    if not isinstance(criteria, Mapping):
        raise ApiError(400, "filter_criteria must be an object")
    for name, given in criteria.items():
        tests = early if name in EARLY else late
        if name == "agent":
            tests.append(_agents(given))
        elif name in FIELDS:
            types, read = FIELDS[name]
            tests.append(_test(name, given, types, read))
        elif name in MAPS:
            if not isinstance(given, list):
                raise ApiError(400, f"filter_criteria.{name} must be an array")
            tests += [_keyed(name, item) for item in given]
        else:
            raise ApiError(400, f"filter_criteria must NOT have additional property {name}")
    return early, late


def might_match(criteria: object) -> Callable[[PhoneCall], bool]:
    """A cheap first question about criteria that were read: it leaves a few of many thousand calls."""
    asked = criteria if isinstance(criteria, Mapping) else {}
    own = {
        item["key"]: item["value"]
        for item in asked.get("metadata") or ()
        if item["type"] == "string" and item["op"] == "eq"
    }
    ids, number = asked.get("call_id") or {}, asked.get("to_number") or {}
    these = frozenset(ids["value"]) if ids.get("type") == "enum" else None
    to = number["value"] if number.get("op") == "eq" else None

    def test(call: PhoneCall) -> bool:
        return (
            (these is None or call.id in these)
            and (to is None or call.to_number == to)
            and own.items() <= (call.metadata or {}).items()
        )

    return test


def _test(name: str, given: object, types: Sequence[str], read: Reader) -> Callable[[Body], bool]:
    if not isinstance(given, Mapping):
        raise ApiError(400, f"filter_criteria.{name} must be an object")
    kind, op, value = given.get("type"), given.get("op"), given.get("value")
    if not isinstance(kind, str) or kind not in types or not isinstance(op, str) or op not in OPERATORS[kind]:
        raise ApiError(400, f"filter_criteria.{name} does not allow type {kind} with op {op}")
    if not VALUES[kind](value):
        raise ApiError(400, f"filter_criteria.{name}.value is not a {kind}")
    if name == "call_status" and not set(value or []) <= STATUSES:
        raise ApiError(400, f"filter_criteria.call_status.value must be among {', '.join(sorted(STATUSES))}")
    compare = OPERATORS[kind][op]
    return lambda body: compare(read(body), value)


def _keyed(name: str, given: object) -> Callable[[Body], bool]:
    key = given.get("key") if isinstance(given, Mapping) else None
    if not isinstance(key, str) or not key:
        raise ApiError(400, f"filter_criteria.{name} items need a key")
    whole = MAPS[name]
    return _test(name, given, tuple(OPERATORS), lambda body: (whole(body) or {}).get(key))


def _agents(given: object) -> Callable[[Body], bool]:
    if not isinstance(given, list) or not all(
        isinstance(item, Mapping) and isinstance(item.get("agent_id"), str) for item in given
    ):
        raise ApiError(400, "filter_criteria.agent must be an array of {agent_id, version?}")

    def matches(body: Body) -> bool:
        return any(
            item["agent_id"] == body["agent_id"]
            and (not item.get("version") or body["agent_version"] in item["version"])
            for item in given
        )

    return matches
