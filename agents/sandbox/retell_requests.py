"""Reading what the customer sends to Retell's endpoints; every refusal is an ApiError 400."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.sandbox.posting import Answer
from agents.sandbox.retell_answers import ApiError, Slice
from agents.sandbox.seeds import ALL_EVENTS

E164 = re.compile(r"^\+[1-9]\d{6,14}$")
MAX_METADATA = 50_000
STORAGE = ("everything", "everything_except_pii", "basic_attributes_only")
CREATE_FIELDS = frozenset(
    {
        "from_number", "to_number", "idempotency_key", "override_agent_id", "override_agent_version",
        "agent_override", "metadata", "retell_llm_dynamic_variables", "custom_sip_headers",
        "honor_internal_dnc", "ignore_e164_validation",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOrder:
    """A create-phone-call request that can be carried out if its assets exist."""

    from_number: str
    to_number: str
    idempotency_key: str
    agent_id: str | None
    agent_version: int | str | None
    agent_override: dict[str, Any]
    metadata: dict[str, Any] | None
    variables: dict[str, str] | None
    sip_headers: dict[str, str] | None
    undocumented_fields: frozenset[str]


def read_json(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ApiError(400, f"Request body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ApiError(400, "Request body must be an object")
    return found


def number_in(body: bytes) -> str:
    """Whom a request is for, as far as it can be read."""
    try:
        return str(read_json(body).get("to_number", ""))
    except ApiError:
        return ""


def own_id(metadata: object) -> str:
    """The customer's own id of a call, which it keeps in the metadata."""
    return str(metadata.get("call_uuid") or "") if isinstance(metadata, Mapping) else ""


def read_create(body: bytes) -> CreateOrder:
    found = read_json(body)
    from_number, to_number = _number(found, "from_number"), _number(found, "to_number")
    key = found.get("idempotency_key", "")
    if not isinstance(key, str):
        raise ApiError(400, "idempotency_key must be a string")
    agent_id = found.get("override_agent_id")
    if agent_id is not None and not isinstance(agent_id, str):
        raise ApiError(400, "override_agent_id must be a string")
    version = found.get("override_agent_version")
    if version is not None and (isinstance(version, bool) or not isinstance(version, int | str)):
        raise ApiError(400, "override_agent_version must be a number or a string")
    override = found.get("agent_override") or {}
    if not isinstance(override, dict) or not set(override) <= {"agent", "retell_llm", "conversation_flow"}:
        raise ApiError(400, "agent_override must be an object of agent, retell_llm, conversation_flow")
    return CreateOrder(
        from_number=from_number,
        to_number=to_number,
        idempotency_key=key,
        agent_id=agent_id,
        agent_version=version,
        agent_override=read_agent_changes(override.get("agent") or {}),
        metadata=read_metadata(found.get("metadata")),
        variables=read_strings(found.get("retell_llm_dynamic_variables"), "retell_llm_dynamic_variables"),
        sip_headers=read_strings(found.get("custom_sip_headers"), "custom_sip_headers"),
        undocumented_fields=frozenset(found) - CREATE_FIELDS,
    )


def _number(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise ApiError(400, f"request/body must have required property '{name}'")
    if not E164.match(value):
        raise ApiError(400, f"{name} must be in E.164 format: {value}", why="number not E.164")
    return value


def read_metadata(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ApiError(400, "metadata must be an object")
    if len(json.dumps(value)) > MAX_METADATA:
        raise ApiError(400, "metadata must be at most 50kB")
    return value


def read_strings(value: object, name: str) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ApiError(400, f"{name} must be an object whose values are strings")
    return value


def read_changed_strings(value: object, name: str) -> dict[str, str | None]:
    """Null takes a change back."""
    given = value or {}
    if not isinstance(given, dict) or not all(
        item is None or isinstance(item, str) for item in given.values()
    ):
        raise ApiError(400, f"{name} must be an object whose values are strings or null")
    return given


def read_agent_changes(changes: object) -> dict[str, Any]:
    """The fields of an agent that are worth checking; all others pass."""
    if not isinstance(changes, dict):
        raise ApiError(400, "agent must be an object")
    events = changes.get("webhook_events")
    if events is not None and (not isinstance(events, list) or not set(events) <= set(ALL_EVENTS)):
        raise ApiError(400, f"webhook_events must be among {', '.join(ALL_EVENTS)}")
    for name, low, high in (
        ("ring_duration_ms", 5_000, 300_000),
        ("max_call_duration_ms", 60_000, 7_200_000),
        ("end_call_after_silence_ms", 10_000, None),
        ("webhook_timeout_ms", 1, None),
    ):
        value = changes.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or value < low or (high is not None and value > high):
            raise ApiError(400, f"{name} must be between {low} and {high or 'any'} ms")
    if changes.get("data_storage_setting") not in (None, *STORAGE):
        raise ApiError(400, f"data_storage_setting must be among {', '.join(STORAGE)}")
    for fixed in ("agent_id", "version", "is_published", "last_modification_timestamp"):
        if fixed in changes:
            raise ApiError(400, f"{fixed} cannot be changed")
    return changes


TRANSPORTS = ("TLS", "TCP", "UDP")
IMPORT_FIELDS = ("nickname", "inbound_agents", "outbound_agents", "inbound_webhook_url")


def read_import(found: Mapping[str, Any]) -> dict[str, Any]:
    """A number brought along on a trunk, as the account keeps it, password included."""
    e164, domain = found.get("phone_number"), found.get("termination_uri")
    for name, value in (("phone_number", e164), ("termination_uri", domain)):
        if not isinstance(value, str) or not value:
            raise ApiError(400, f"request/body must have required property '{name}'")
    if found.get("ignore_e164_validation") is False and not E164.match(str(e164)):
        raise ApiError(400, f"phone_number must be in E.164 format: {e164}")
    given = read_number_changes({name: found[name] for name in IMPORT_FIELDS if name in found})
    return {
        "phone_number": e164,
        "phone_number_type": "custom",
        "phone_number_pretty": e164,
        "nickname": "",
        "inbound_agents": None,
        "outbound_agents": None,
        "inbound_webhook_url": None,
        "fallback_number": None,
        **given,
        "sip_outbound_trunk_config": {
            "termination_uri": domain,
            "auth_username": found.get("sip_trunk_auth_username"),
            "auth_password": found.get("sip_trunk_auth_password"),
            "transport": read_transport(found),
            "codecs": [],
        },
    }


def read_transport(found: Mapping[str, Any]) -> str:
    transport = found.get("transport") or "TCP"
    if transport not in TRANSPORTS:
        raise ApiError(400, f"transport must be among {', '.join(TRANSPORTS)}")
    return str(transport)


def read_trunk_changes(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of a number's trunk: here the credentials are not called as in an import."""
    changes = {
        name: found[name] for name in ("termination_uri", "auth_username", "auth_password") if name in found
    }
    if not all(isinstance(value, str) and value for value in changes.values()):
        raise ApiError(400, "termination_uri, auth_username and auth_password must be strings")
    return changes | ({"transport": read_transport(found)} if "transport" in found else {})


def read_number_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What stands on the number itself; its trunk is for `read_trunk_changes`."""
    for name in ("inbound_agents", "outbound_agents"):
        bindings = changes.get(name)
        if bindings is None:
            continue
        if not isinstance(bindings, list) or not all(
            isinstance(item, dict) and isinstance(item.get("agent_id"), str) for item in bindings
        ):
            raise ApiError(400, f"{name} must be an array of {{agent_id, weight, agent_version?}}")
        if bindings and abs(sum(float(item.get("weight", 0)) for item in bindings) - 1) > 0.001:
            raise ApiError(400, f"the weights of {name} must sum to 1")
    fallback = changes.get("fallback_number")
    if fallback is not None and not (isinstance(fallback, str) and E164.match(fallback)):
        raise ApiError(400, "fallback_number must be in E.164 format")
    url = changes.get("inbound_webhook_url")
    if url is not None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
        raise ApiError(400, "inbound_webhook_url must be a URL")
    return {
        name: value
        for name, value in changes.items()
        if name
        not in {"auth_username", "auth_password", "phone_number", "termination_uri", "transport", "codecs"}
    }


def read_slice(found: Mapping[str, Any], *, usual: int = 50, most: int = 1000) -> Slice:
    try:
        limit, skip = int(found.get("limit", usual)), int(found.get("skip", 0))
    except (TypeError, ValueError) as error:
        raise ApiError(400, "limit and skip must be numbers") from error
    key, order = found.get("pagination_key"), found.get("sort_order", "descending")
    if not 1 <= limit <= most:
        raise ApiError(400, f"limit must be between 1 and {most}")
    if skip < 0:
        raise ApiError(400, "skip must not be negative")
    if key is not None and "skip" in found:
        raise ApiError(400, "skip and pagination_key cannot be used together")
    if order not in {"ascending", "descending"}:
        raise ApiError(400, "sort_order must be ascending or descending")
    return Slice(limit=limit, skip=skip, after=key, ascending=order == "ascending")


def read_inbound_answer(response: Answer | None) -> dict[str, Any]:
    """The `call_inbound` object of the answer; what cannot be used counts as not said."""
    if response is None:
        return {}
    try:
        reply = response.json()["call_inbound"]
    except (ValueError, KeyError, TypeError):
        return {}
    if not isinstance(reply, dict):
        return {}
    usable = dict(reply)
    for name, read in (
        ("dynamic_variables", lambda value: read_strings(value, "dynamic_variables")),
        ("metadata", read_metadata),
    ):
        try:
            read(usable.get(name))
        except ApiError:
            usable.pop(name)
    return usable
