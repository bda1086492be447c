"""Retell's agents and numbers, read into profiles, and our changes written in its words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agents.phone import country_of
from agents.providers.base import AgentProfile, AnalysisField, NumberProfile
from agents.providers.lines import OWN_TRUNK, line_name
from agents.providers.listening import SHARE, Denoising
from agents.providers.overrides import Overridable, Overriding

# What an agent sends when `webhook_events` is not set, and what we live on.
DEFAULT_EVENTS = frozenset({"call_started", "call_ended", "call_analyzed"})
NEEDED_EVENTS = DEFAULT_EVENTS | {"transcript_updated"}

DEFAULT_RING_MS = 30_000
DEFAULT_MAX_CALL_MS = 3_600_000

# Filled in by Retell itself (docs.retellai.com/build/dynamic-variables); the last three also with a zone
# behind them, as in {{current_time_Europe/Madrid}}. A contact's first_name is not among them: it is
# there only when Retell keeps a contact with that number.
SYSTEM_VARIABLES = frozenset({
    "agent_number",
    "call_id",
    "call_type",
    "chat_id",
    "current_agent_state",
    "current_node",
    "direction",
    "previous_agent_state",
    "previous_node",
    "session_duration",
    "session_duration_ms",
    "session_type",
    "user_number",
    "current_calendar",
    "current_hour",
    "current_time",
})  # fmt: skip
ZONED_VARIABLES = ("current_calendar_", "current_hour_", "current_time_")
INNERMOST = re.compile(r"\{\{([^{}]*)\}\}")

FIELD_KINDS: Mapping[str, str] = {
    "string": "text",
    "number": "number",
    "boolean": "boolean",
    "enum": "selector",
}
PRESET = "system-presets"

# Ours on the left: what `fix_agent` and a call's overrides may change, and on which of the two objects.
AGENT_CHANGES: Mapping[str, str] = {
    "name": "agent_name",
    "language": "language",
    "voice": "voice_id",
    "webhook_url": "webhook_url",
    "events": "webhook_events",
    "analysis_fields": "post_call_analysis_data",
    "detects_do_not_call": "enable_dnc_detection",
    "voicemail_action": "voicemail_option",
    "ring_time_ms": "ring_duration_ms",
    "max_call_ms": "max_call_duration_ms",
    "signed_recordings": "opt_in_signed_url",
    "interruption_sensitivity": "interruption_sensitivity",
    "responsiveness": "responsiveness",
    "denoising": "denoising_mode",
}
LLM_CHANGES: Mapping[str, str] = {
    "opening_line": "begin_message",
    "default_variables": "default_dynamic_variables",
}
DENOISING: Mapping[str, str] = {
    Denoising.NONE: "no-denoise",
    Denoising.NOISE: "noise-cancellation",
    Denoising.NOISE_AND_SPEECH: "noise-and-background-speech-cancellation",
}
OVERRIDES = frozenset({*AGENT_CHANGES, "opening_line", "speed", "temperature"})
"""What a single call may carry: the prompt can only be changed for all of them."""
OVERRIDABLE = Overriding(
    names={
        "voice": Overridable(),
        "speed": Overridable(0.5, 2.0),
        "language": Overridable(),
        "opening_line": Overridable(),
        "temperature": Overridable(0.0, 1.0),
        "interruption_sensitivity": Overridable(*SHARE),
        "responsiveness": Overridable(*SHARE),
    },
    of_the_words=frozenset({"opening_line", "temperature"}),
)
"""What staff and other systems may name, with Retell's ranges."""


def read_profile(
    agent: Mapping[str, Any],
    engine: Mapping[str, Any],
    *,
    suspended: bool,
    newest_version: int | None,
) -> AgentProfile:
    """`engine` is the LLM or the flow behind the agent; empty when it is hosted elsewhere."""
    events = agent.get("webhook_events")
    sent = frozenset(map(str, events)) if isinstance(events, list) else DEFAULT_EVENTS
    return AgentProfile(
        provider_agent_id=str(agent["agent_id"]),
        name=_str(agent, "agent_name"),
        version=_int(agent, "version"),
        published=agent.get("is_published") if isinstance(agent.get("is_published"), bool) else None,
        newest_version=newest_version,
        language=_language(agent.get("language")),
        voice=_str(agent, "voice_id"),
        opening_line=_opening_line(engine),
        prompt=_prompt(engine),
        default_variables=_strings(_map(engine, "default_dynamic_variables")),
        variables_used=_variables(agent, engine),
        webhook_url=_str(agent, "webhook_url") or None,
        events=sent,
        missing_events=NEEDED_EVENTS - sent,
        analysis_fields=tuple(_analysis_fields(agent)),
        detects_do_not_call=agent.get("enable_dnc_detection") is True,
        voicemail_action=_str(_map(_map(agent, "voicemail_option"), "action"), "type"),
        screening_answer=bool(_map(agent, "call_screening_option")),
        ring_time_ms=_int(agent, "ring_duration_ms") or DEFAULT_RING_MS,
        max_call_ms=_int(agent, "max_call_duration_ms") or DEFAULT_MAX_CALL_MS,
        signed_recordings=agent.get("opt_in_signed_url") is True,
        suspended=suspended,
        engine_id=engine_id(agent),
        interruption_sensitivity=_share(agent, "interruption_sensitivity"),
        responsiveness=_share(agent, "responsiveness"),
        denoising=next(
            (ours for ours, theirs in DENOISING.items() if theirs == agent.get("denoising_mode")),
            Denoising.NOISE,
        ),
        editable=frozenset(AGENT_CHANGES)
        | (frozenset(LLM_CHANGES) if words_are_at_retell(agent) else frozenset()),
    )


def engine_id(agent: Mapping[str, Any]) -> str:
    engine = _map(agent, "response_engine")
    return _str(engine, "llm_id") or _str(engine, "conversation_flow_id")


def words_are_at_retell(agent: Mapping[str, Any]) -> bool:
    """Prompt and opening line are one text each only in Retell's own LLM, not in a flow or elsewhere."""
    return _map(agent, "response_engine").get("type") == "retell-llm"


def read_number(number: Mapping[str, Any]) -> NumberProfile:
    """Calls a second are counted for each telephony account: Retell's Twilio, its Telnyx, or our trunk."""
    e164, kind = str(number["phone_number"]), _str(number, "phone_number_type")
    over = _map(number, "sip_outbound_trunk_config")
    trunk = _str(over, "termination_uri")
    return NumberProfile(
        number=e164,
        label=_str(number, "nickname") or _str(number, "phone_number_pretty"),
        line=line_name(kind, trunk),
        inbound_agent_ids=_bound(number, "inbound_agents"),
        outbound_agent_ids=_bound(number, "outbound_agents"),
        inbound_webhook_url=_str(number, "inbound_webhook_url") or None,
        country=country_of(e164),
        fallback_number=_str(number, "fallback_number"),
        trunk_domain=trunk if kind == OWN_TRUNK else "",
        trunk_username=_str(over, "auth_username"),
    )


def agent_changes(changes: Mapping[str, Any], *, current: Mapping[str, Any]) -> dict[str, Any]:
    """The body that changes an agent. `current` is the agent as it is: its other analysis stays."""
    writers: Mapping[str, Callable[[Any], Any]] = {
        "events": sorted,
        "webhook_url": lambda url: url or None,
        "voicemail_action": _voicemail_option,
        "denoising": DENOISING.__getitem__,
        "analysis_fields": lambda fields: _analysis_data(fields, current=current),
    }
    return {
        theirs: writers.get(ours, lambda value: value)(changes[ours])
        for ours, theirs in AGENT_CHANGES.items()
        if ours in changes
    }


def llm_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        theirs: dict(changes[ours]) if ours == "default_variables" else changes[ours]
        for ours, theirs in LLM_CHANGES.items()
        if ours in changes
    }


def override(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The body's `agent_override`. Raises ValueError for what a single call cannot carry."""
    unknown = set(overrides) - OVERRIDES
    if unknown:
        raise ValueError(f"Cannot be changed for one call: {', '.join(sorted(unknown))}.")
    agent, llm = agent_changes(overrides, current={}), llm_changes(overrides)
    if "speed" in overrides:
        agent["voice_speed"] = overrides["speed"]
    if "temperature" in overrides:
        llm["model_config"] = {"temperature": overrides["temperature"]}
    return {name: part for name, part in (("agent", agent), ("retell_llm", llm)) if part}


def variables_in(text: str) -> frozenset[str]:
    """Every {{name}} in `text`, innermost first ({{current_time_{{zone}} }}), without Retell's own."""
    found: set[str] = set()
    while names := INNERMOST.findall(text):
        found.update(name.strip() for name in names)
        text = INNERMOST.sub("x", text)
    return frozenset(name for name in found - SYSTEM_VARIABLES - {""} if not name.startswith(ZONED_VARIABLES))


def _variables(agent: Mapping[str, Any], engine: Mapping[str, Any]) -> frozenset[str]:
    """All that can be spoken, also to a voicemail or a phone that screens its callers.

    What the agent itself finds out during the call needs no value from us.
    """
    spoken = [
        _str(engine, "begin_message"),
        _prompt(engine),
        *_texts(_map(agent, "voicemail_option")),
        *_texts(_map(agent, "call_screening_option")),
    ]
    return variables_in("\n".join(spoken)) - frozenset(_found_out(engine))


def _prompt(engine: Mapping[str, Any]) -> str:
    """An LLM's general and state prompts, or a flow's global prompt and what its nodes say."""
    parts = [_str(engine, "general_prompt"), _str(engine, "global_prompt")]
    parts += [_str(state, "state_prompt") for state in _maps(engine, "states")]
    parts += [_str(_map(node, "instruction"), "text") for node in _maps(engine, "nodes")]
    return "\n\n".join(part for part in parts if part)


def _opening_line(engine: Mapping[str, Any]) -> str | None:
    if engine.get("start_speaker") == "user":
        return ""
    line = engine.get("begin_message")
    return line if isinstance(line, str) else None


def _found_out(value: object) -> Iterator[str]:
    """Names of the variables that a tool or node of the engine extracts from the conversation."""
    if isinstance(value, list):
        for item in value:
            yield from _found_out(item)
    elif isinstance(value, dict):
        if str(value.get("type", "")).startswith("extract_dynamic_variable"):
            yield from (_str(item, "name") for item in _maps(value, "variables"))
        for item in value.values():
            yield from _found_out(item)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)


def _analysis_fields(agent: Mapping[str, Any]) -> Iterator[AnalysisField]:
    for item in _maps(agent, "post_call_analysis_data"):
        if item.get("type") in FIELD_KINDS:
            yield AnalysisField(
                name=_str(item, "name"),
                kind=FIELD_KINDS[item["type"]],
                description=_str(item, "description"),
                choices=tuple(map(str, item.get("choices") or ())),
            )


def _analysis_data(fields: Sequence[AnalysisField], *, current: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Presets stay; a field that is there already keeps what we do not know of it (examples, conditions)."""
    theirs = {ours: name for name, ours in FIELD_KINDS.items()}
    existing = {_str(item, "name"): item for item in _maps(current, "post_call_analysis_data")}
    data = [dict(item) for item in existing.values() if item.get("type") == PRESET]
    for field in fields:
        item = {
            **existing.get(field.name, {}),
            "name": field.name,
            "type": theirs[field.kind],
            "description": field.description,
        }
        if field.choices:
            item["choices"] = list(field.choices)
        data.append(item)
    return data


def _voicemail_option(action: str) -> dict[str, Any] | None:
    """Only hanging up needs no text from us; what is spoken is written at Retell."""
    if action not in {"", "hangup"}:
        raise ValueError(f"A voicemail action that can be set here is 'hangup' or '', not {action!r}.")
    return {"action": {"type": action}} if action else None


def _language(given: object) -> str:
    return ", ".join(map(str, given)) if isinstance(given, list) else str(given or "")


def _bound(number: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(_str(item, "agent_id") for item in _maps(number, key))


def _strings(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in values.items() if isinstance(value, str)}


def _map(source: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    given = source.get(key)
    return given if isinstance(given, dict) else {}


def _maps(source: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    given = source.get(key)
    return [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []


def _str(source: Mapping[str, Any], key: str) -> str:
    given = source.get(key)
    return given if isinstance(given, str) else ""


def _share(source: Mapping[str, Any], key: str) -> float:
    """0 to 1; Retell's default is 1."""
    given = source.get(key)
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else 1.0


def _int(source: Mapping[str, Any], key: str) -> int | None:
    given = source.get(key)
    return given if isinstance(given, int) and not isinstance(given, bool) else None
