"""Retell as `../article.txt` describes it: three requests and nothing to look up.

`POST {base}/v1/assistant` makes an AI agent, `POST {base}/v1/call` a call, `POST {base}/v2/stop-utterance`
stops what the agent says. There is no idempotency key and
no list: a call whose answer was lost is never sent again, and its webhooks are all there will be. Our
`call_uuid` in the metadata also keeps two calls from being taken for one, which happens to requests with
the same metadata within five seconds. Reading webhooks is in `retell_article_reading.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from agents import phone
from agents.providers import drafts
from agents.providers import retell_article_answers as answers
from agents.providers import retell_article_reading as reading
from agents.providers import retell_article_signature as signatures
from agents.providers import retell_reading as today
from agents.providers.abilities import Ability
from agents.providers.base import (
    Accepted,
    CallFacts,
    PlaceOrder,
    ProviderEvent,
    Refused,
    Unreadable,
)
from agents.providers.drafts import AgentDraft
from agents.providers.http import whole
from agents.providers.limited import LimitedProvider
from agents.providers.live import LiveEvent
from agents.providers.overrides import Overridable, Overriding
from agents.providers.retell_answers import encode, for_another_contract
from agents.providers.retell_client import RetellClient

CALL_PATH, ASSISTANT_PATH, STOP_PATH = "/v1/call", "/v1/assistant", "/v2/stop-utterance"
STOP_WITHIN_S = 2.0
ONE_OF = frozenset({"assistant_id", "assistant"})


class ArticleProvider(LimitedProvider):
    contract: ClassVar[str] = "article"
    idempotent: ClassVar[bool] = False
    signature_header: ClassVar[str] = signatures.HEADER
    stops_replays: ClassVar[bool] = False
    abilities: ClassVar[frozenset[Ability]] = frozenset(
        {Ability.CREATE_AGENT, Ability.BARGE_IN, Ability.OVERRIDE}
    )
    overridable: ClassVar[Overriding] = Overriding(
        names={
            "voice": Overridable(),
            "speed": Overridable(*drafts.SPEED),
            "stability": Overridable(*drafts.SHARE),
            "similarity_boost": Overridable(*drafts.SHARE),
            "language": Overridable(),
            "temperature": Overridable(*drafts.TEMPERATURE),
            "max_tokens": Overridable(*drafts.MAX_TOKENS, whole=True),
        },
        needs_draft=True,
    )

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        webhook_secrets: Sequence[str] = (),
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._webhook_secrets = tuple(webhook_secrets)
        self._http = RetellClient(base_url, api_key, transport=transport, ask_deadline_s=timeout_s)

    @classmethod
    def from_settings(cls) -> Self:
        return cls(
            base_url=settings.RETELL_BASE_URL,
            api_key=settings.RETELL_API_KEY,
            webhook_secrets=settings.RETELL_WEBHOOK_SECRETS,
            timeout_s=max(settings.PROVIDER_TIMEOUT_S, 10.0),
        )

    def close(self) -> None:
        self._http.close()

    @property
    def clock_ahead(self) -> timedelta | None:
        return self._http.clock_ahead

    def placement(self, order: PlaceOrder) -> bytes:
        """Raises ValueError for an agent and a draft together, or neither, and for what cannot be dialled."""
        if order.overrides and order.draft is None:
            raise ValueError(_("Nothing can be changed for one call, unless the whole AI agent is given."))
        body: dict[str, Any] = {
            "from_number": order.from_number,
            "to_number": order.to_number,
            "metadata": {**order.metadata, "call_uuid": order.call_uuid},
            "retell_llm_dynamic_variables": {name: str(value) for name, value in order.variables.items()},
        }
        if order.provider_agent_id and not order.overrides:
            body["assistant_id"] = order.provider_agent_id
        if order.draft is not None:
            body["assistant"] = assistant(changed(order.draft, order.overrides))
        _check_one_agent(body)
        for name in ("from_number", "to_number"):
            if not phone.is_e164(body[name]):
                raise ValueError(
                    _("%(number)s is no telephone number: + and country code first.") % {"number": body[name]}
                )
        return encode(body)

    def place(self, body: bytes, *, give_up_s: float, started: float) -> Accepted:
        self._http.check_key()
        _check_before_the_wire(body)
        answer = self._http.send_once("POST", CALL_PATH, body=body, deadline=started + give_up_s)
        if 200 <= answer.status < 300:
            return Accepted(
                provider_call_id=answers.read_call_id(answer.body),
                body=answer.body,
                status=answers.read_status(answer.body),
            )
        raise answers.refusal_of_call(whole(answer))

    def create_agent(self, draft: AgentDraft) -> str:
        """POST once: sent again it would make another. Raises ValueError for a draft out of its ranges."""
        if problems := draft.problems():
            raise ValueError(", ".join(problems))
        self._http.check_key()
        answer = self._http.ask("POST", ASSISTANT_PATH, body=encode(assistant(draft)), repeat=False)
        if not 200 <= answer.status < 300:
            raise answers.refusal_of_agent(answer)
        return answers.read_assistant_id(answer)

    def stop_utterance(self, provider_call_id: str, utterance_id: str) -> None:
        self._http.check_key()
        body = encode({"call_id": provider_call_id, "utterance_id": utterance_id})
        answer = self._http.ask_at_once("POST", STOP_PATH, body=body, within_s=STOP_WITHIN_S)
        if not 200 <= answer.status < 300:
            raise answers.refusal_of_stop(answer)

    def verify(self, body: bytes, signature: str | None, *, now: datetime) -> bytes:
        return signatures.verify(body, signature, secrets=self._webhook_secrets)

    def read_event(self, body: bytes) -> ProviderEvent:
        return reading.read_event(body)

    def read_live(self, body: bytes) -> LiveEvent | None:
        return reading.read_live(body)

    def read_call(self, body: bytes) -> CallFacts:
        """There are no look-ups; one that was kept from another time is read as it was."""
        return today.read_fetched(today.read_object(body))


def changed(draft: AgentDraft, overrides: Mapping[str, Any]) -> AgentDraft:
    """Raises ValueError for what the contract has not, or out of its range."""
    if unknown := overrides.keys() - ArticleProvider.overridable.names.keys():
        raise ValueError(f"Cannot be changed for one call: {', '.join(sorted(unknown))}.")
    named = {"voice_id" if name == "voice" else name: value for name, value in overrides.items()}
    found = dataclasses.replace(draft, **named)
    if problems := found.problems():
        raise ValueError(", ".join(problems))
    return found


def assistant(draft: AgentDraft) -> dict[str, Any]:
    """An AI agent in the contract's fields."""
    transcriber = {"provider": draft.transcriber_provider, "language": draft.language}
    if draft.transcriber_model:
        transcriber["model"] = draft.transcriber_model
    return {
        "name": draft.name,
        "model": {
            "provider": draft.model_provider,
            "model": draft.model,
            "temperature": draft.temperature,
            "max_tokens": draft.max_tokens,
        },
        "voice": {
            "provider": draft.voice_provider,
            "voice_id": draft.voice_id,
            "speed": draft.speed,
            "stability": draft.stability,
            "similarity_boost": draft.similarity_boost,
        },
        "transcriber": transcriber,
        "response_engine": {"type": draft.engine, "llm_websocket_url": draft.engine_url},
    }


def _check_one_agent(body: Mapping[str, Any]) -> None:
    if len(ONE_OF & body.keys()) != 1:
        raise ValueError(
            _("A call needs one AI agent: one that was created before, or one given with the call, not both.")
        )


def _check_before_the_wire(body: bytes) -> None:
    """What the queue kept may be of another time. Raises Refused; nothing is sent."""
    try:
        found = today.read_object(body)
    except Unreadable as error:
        raise for_another_contract() from error
    if "override_agent_id" in found or "idempotency_key" in found:
        raise for_another_contract()
    try:
        _check_one_agent(found)
    except ValueError as error:
        raise Refused(str(error)) from error
