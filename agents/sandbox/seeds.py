"""What the sandbox's account holds at the start: six agents and four telephone numbers on two lines.

Most agents are ready to call. `Maya` has newer versions than the one her number is pinned to; `Clara` is
deliberately not ready: her events go elsewhere, her prompt asks for a variable nobody supplies, and she
neither notes call-backs nor hears "never call again".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALL_EVENTS = [
    "call_started",
    "call_ended",
    "call_analyzed",
    "transcript_updated",
    "transfer_started",
    "transfer_bridged",
    "transfer_cancelled",
    "transfer_ended",
]
NUMBERS = ("+12125550190", "+12125550191", "+442079460990", "+442079460991")
TRUNK = "brightside.pstn.twilio.com"
ELSEWHERE = "http://127.0.0.1:9/somewhere-else"

ANALYSIS: list[dict[str, Any]] = [
    {"type": "system-presets", "name": "call_summary"},
    {"type": "system-presets", "name": "call_successful"},
    {"type": "system-presets", "name": "user_sentiment"},
    {
        "type": "string",
        "name": "callback_time",
        "description": "When the person asked to be called back, as ISO 8601 with offset; empty if not.",
    },
    {"type": "boolean", "name": "do_not_call", "description": "True if the person asked never to be called."},
    {"type": "boolean", "name": "wrong_number", "description": "True if the person called is another one."},
    {"type": "boolean", "name": "interested", "description": "True if the person wants to hear more."},
    {"type": "string", "name": "promise", "description": "What was promised to the person, in one line."},
]

PROMPT = (
    "You are {{agent_name}}, an AI assistant calling for {{company_name}}. "
    "You speak with {{first_name}} {{last_name}} of {{company}}. "
    "The reason for the call: {{reason_we_called}}. Last time: {{last_call_summary}}. "
    "Say at once that you are an AI and for whom you call. If the person does not want to be called "
    "again, confirm it and end the call. If the time does not suit, agree on a day and an hour."
)
PROMPT_ES = (
    "Eres {{agent_name}}, una asistente de inteligencia artificial que llama de parte de {{company_name}}. "
    "Hablas con {{first_name}} {{last_name}}, de {{company}}. Motivo de la llamada: {{reason_we_called}}. "
    "La última vez: {{last_call_summary}}. Di enseguida que eres una IA y en nombre de quién llamas. "
    "Si la persona no quiere más llamadas, confírmalo y despídete. Si no es buen momento, acordad día y hora."
)
TOPICS: Mapping[str, str] = {
    "agent_sandbox_ava": "solar",
    "agent_sandbox_maya": "insurance",
    "agent_sandbox_nora": "software",
}
"""What the scripted people talk about with an agent, where they have a choice."""

COMPANY = "Brightside Solar"
HELLO = (
    "Hi {{first_name}}, this is {{agent_name}}, an AI assistant calling for {{company_name}}. "
    "Is this a good moment?"
)
HOLA = (
    "Hola {{first_name}}, soy {{agent_name}}, una asistente de inteligencia artificial de {{company_name}}. "
    "¿Es buen momento?"
)
WELCOME = "Thanks for calling {{company_name}}, this is {{agent_name}}, an AI assistant. How can I help?"


def topic_of(agent: Mapping[str, Any]) -> str:
    return TOPICS.get(str(agent.get("agent_id", "")), "")


def _agent(key: str, name: str, *, voice: str, language: str = "en-US", **more: Any) -> dict[str, Any]:
    return {
        "agent_id": f"agent_sandbox_{key}",
        "agent_name": name,
        "channel": "voice",
        "voice_id": voice,
        "language": language,
        "response_engine": {"type": "retell-llm", "llm_id": f"llm_sandbox_{key}"},
        "webhook_url": None,
        "webhook_events": list(ALL_EVENTS),
        "webhook_timeout_ms": 10000,
        "ring_duration_ms": 30000,
        "max_call_duration_ms": 900000,
        "end_call_after_silence_ms": 120000,
        "enable_dnc_detection": True,
        "voicemail_option": {"action": {"type": "hangup"}},
        "call_screening_option": {
            "agent_identity": f"{name.split(',')[0]}, an AI assistant",
            "call_purpose": "Following up on an enquiry",
        },
        "post_call_analysis_data": [dict(item) for item in ANALYSIS],
        "opt_in_signed_url": False,
        "data_storage_setting": "everything",
        "timezone": "America/Los_Angeles",
        **more,
    }


def _llm(
    key: str, first_name: str, *, company: str = COMPANY, prompt: str = PROMPT, hello: str = HELLO
) -> dict[str, Any]:
    return {
        "llm_id": f"llm_sandbox_{key}",
        "model": "gpt-5-mini",
        "start_speaker": "agent",
        "general_prompt": prompt,
        "begin_message": hello,
        "default_dynamic_variables": {
            "agent_name": first_name,
            "company_name": company,
            "first_name": "",
            "last_name": "",
            "company": "",
            "reason_we_called": "",
            "last_call_summary": "",
        },
        "general_tools": [],
    }


def agents() -> list[tuple[dict[str, Any], int]]:
    """Each agent as it is now, and how many versions it has had."""
    not_ready = _agent(
        "clara",
        "Clara, surveys",
        voice="retell-Clara",
        webhook_url=ELSEWHERE,
        webhook_events=["call_ended"],
        enable_dnc_detection=False,
        voicemail_option=None,
        call_screening_option=None,
        post_call_analysis_data=[dict(item) for item in ANALYSIS[:3]],
    )
    return [
        (_agent("ava", "Ava, first contact", voice="retell-Cimo"), 1),
        (_agent("maya", "Maya, renewals", voice="retell-Willa", language="en-GB"), 5),
        (_agent("nora", "Nora, software demos", voice="retell-Grace"), 2),
        (_agent("lucia", "Lucia, primer contacto", voice="retell-Lucia", language="es-ES"), 1),
        (_agent("lena", "Lena, reception", voice="retell-Lena", opt_in_signed_url=True), 1),
        (not_ready, 1),
    ]


def llms() -> list[dict[str, Any]]:
    return [
        _llm("ava", "Ava"),
        _llm("maya", "Maya", company="Harbor Mutual"),
        _llm("nora", "Nora", company="Tallyboard"),
        _llm("lucia", "Lucia", prompt=PROMPT_ES, hello=HOLA),
        _llm("lena", "Lena", hello=WELCOME),
        _llm(
            "clara",
            "Clara",
            prompt="You ask {{first_name}} three questions about policy {{policy_number}}.",
            hello="Hello {{first_name}}, I have three quick questions about policy {{policy_number}}.",
        ),
    ]


def numbers(inbound_webhook_url: str | None) -> list[dict[str, Any]]:
    """Two numbers bought from the provider, two brought along on a trunk."""

    def number(
        e164: str, nickname: str, outbound: str, *, trunk: bool, version: int | None = None
    ) -> dict[str, Any]:
        binding: dict[str, Any] = {"agent_id": f"agent_sandbox_{outbound}", "weight": 1}
        if version is not None:
            binding["agent_version"] = version
        found: dict[str, Any] = {
            "phone_number": e164,
            "phone_number_type": "custom" if trunk else "retell-twilio",
            "phone_number_pretty": e164,
            "nickname": nickname,
            "outbound_agents": [binding],
            "inbound_agents": [{"agent_id": "agent_sandbox_lena", "weight": 1}],
            "inbound_webhook_url": inbound_webhook_url,
        }
        if trunk:
            found["sip_outbound_trunk_config"] = {
                "termination_uri": TRUNK,
                "transport": "TLS",
                "codecs": ["PCMU"],
            }
        return found

    new_york, new_york_2, london, london_2 = NUMBERS
    return [
        number(new_york, "New York, sales", "ava", trunk=False),
        number(new_york_2, "New York, demos", "nora", trunk=False),
        number(london, "London, renewals", "maya", trunk=True, version=3),
        number(london_2, "London, Spanish desk", "lucia", trunk=True),
    ]
