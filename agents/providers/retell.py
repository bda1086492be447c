"""Retell AI, today's contract. Paths and fields as in its own library (retell-sdk 6.2.13).

Reading bodies is in `retell_reading.py` and `retell_agents.py`, signatures in `retell_signature.py`, our
numbers in `retell_numbers.py`; here is what is asked, and what each answer means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from urllib.parse import quote

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from agents.providers import retell_agents as catalogue
from agents.providers import retell_reading as reading
from agents.providers import retell_signature as signatures
from agents.providers.abilities import TODAYS, Ability
from agents.providers.base import (
    Accepted,
    Account,
    AgentProfile,
    CallFacts,
    Capacity,
    InboundAsk,
    InboundReply,
    NotFound,
    NotOffered,
    Page,
    PlaceOrder,
    ProviderEvent,
    Refused,
    Report,
    Unclear,
)
from agents.providers.drafts import AgentDraft
from agents.providers.http import ASK_DEADLINE_S, Answer, whole
from agents.providers.live import LiveEvent
from agents.providers.overrides import Overriding
from agents.providers.retell_answers import (
    encode,
    failure,
    for_another_contract,
    read_answer,
    read_call_id,
    read_list,
    refused_call,
    report,
    report_item,
    unclear,
)
from agents.providers.retell_client import RetellClient
from agents.providers.retell_numbers import RetellNumbers

PAGE_SIZE = 100
MOST_PAGES = 1000
FOUND_WITHIN = timedelta(minutes=15)
"""How long after our send a call may have begun to be ours by number alone: the tools that Retell runs
before it dials may take five minutes, ringing another five."""
CLOCKS_APART = timedelta(minutes=2)
"""Retell's clock says when a call began, ours when it was sent."""


class RetellProvider(RetellNumbers):
    contract: ClassVar[str] = "current"
    idempotent: ClassVar[bool] = True
    signature_header: ClassVar[str] = signatures.HEADER
    stops_replays: ClassVar[bool] = True
    abilities: ClassVar[frozenset[Ability]] = TODAYS
    overridable: ClassVar[Overriding] = catalogue.OVERRIDABLE

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        webhook_keys: Sequence[str] = (),
        transport: httpx.BaseTransport | None = None,
        ask_deadline_s: float = ASK_DEADLINE_S,
    ) -> None:
        self._webhook_keys = tuple(webhook_keys)
        self._http = RetellClient(base_url, api_key, transport=transport, ask_deadline_s=ask_deadline_s)

    @classmethod
    def from_settings(cls) -> Self:
        return cls(
            base_url=settings.RETELL_BASE_URL,
            api_key=settings.RETELL_API_KEY,
            webhook_keys=settings.RETELL_WEBHOOK_KEYS,
            ask_deadline_s=max(settings.PROVIDER_TIMEOUT_S, 10.0),
        )

    def close(self) -> None:
        self._http.close()

    @property
    def clock_ahead(self) -> timedelta | None:
        return self._http.clock_ahead

    def placement(self, order: PlaceOrder) -> bytes:
        body: dict[str, Any] = {
            "from_number": order.from_number,
            "to_number": order.to_number,
            "override_agent_id": order.provider_agent_id,
            "idempotency_key": order.call_uuid,
            "metadata": {**order.metadata, "call_uuid": order.call_uuid},
            "retell_llm_dynamic_variables": {name: str(value) for name, value in order.variables.items()},
        }
        if order.agent_version is not None:
            body["override_agent_version"] = _version(order.agent_version)
        if order.overrides:
            body["agent_override"] = catalogue.override(order.overrides)
        return encode(body)

    def place(self, body: bytes, *, give_up_s: float, started: float) -> Accepted:
        self._http.check_key()
        # Without our key in it, it could ring twice; with an agent Retell does not read, another would speak.
        if b'"assistant' in body and {"assistant", "assistant_id"} & reading.read_object(body).keys():
            raise for_another_contract()
        answer = self._http.send_once(
            "POST", "/v2/create-phone-call", body=body, deadline=started + give_up_s
        )
        if 200 <= answer.status < 300:
            return Accepted(provider_call_id=read_call_id(answer.body), body=answer.body)
        match whole(answer).status:
            case 400 | 422:
                raise refused_call(answer)
            case 401 | 402 | 403 | 429:
                raise failure(answer)
        raise unclear(answer)

    def fetch_call(self, provider_call_id: str) -> Report:
        return report(self._get(f"/v2/get-call/{_id(provider_call_id)}").body)

    def find_call(self, call_uuid: str, *, to_number: str, since: datetime) -> list[Report]:
        ours = {"type": "string", "op": "eq", "key": "call_uuid", "value": call_uuid}
        listed = self._list_calls({"metadata": [ours]})
        carrying = [one for one in map(report_item, listed["items"]) if one.facts.call_uuid == call_uuid]
        return carrying or self._find_by_number(call_uuid, to_number=to_number, since=since)

    def _find_by_number(self, call_uuid: str, *, to_number: str, since: datetime) -> list[Report]:
        """For an account that lost our metadata: what was dialled then and is nobody else's of ours."""
        first, last = signatures.to_ms(since - CLOCKS_APART), signatures.to_ms(since + FOUND_WITHIN)
        listed = self._list_calls({
            "to_number": {"type": "string", "op": "eq", "value": to_number},
            "start_timestamp": {"type": "range", "op": "bt", "value": [first, last]},
        })  # fmt: skip
        found = []
        for item in listed["items"]:
            one, begun = report_item(item), reading.start_ms(item)
            facts = one.facts
            if facts.call_uuid == call_uuid or (
                not reading.carries_an_id(item)
                and facts.direction != "inbound"
                and facts.to_number == to_number
                and begun is not None
                and first <= begun <= last
            ):
                found.append(one)
        return found

    def fetch_calls(self, provider_call_ids: Sequence[str]) -> list[Report]:
        if not provider_call_ids:
            return []
        if len(provider_call_ids) > PAGE_SIZE:
            raise ValueError(f"At most {PAGE_SIZE} calls in one request.")
        asked = {"type": "enum", "op": "in", "value": list(provider_call_ids)}
        reports = [report_item(item) for item in self._list_calls({"call_id": asked})["items"]]
        return [one for one in reports if one.facts.provider_call_id in set(provider_call_ids)]

    def recent_calls(self, *, since: datetime, until: datetime | None = None, key: str | None = None) -> Page:
        first = signatures.to_ms(since)
        begun: dict[str, Any] = {"type": "number", "op": "ge", "value": first}
        if until is not None:
            begun = {"type": "range", "op": "bt", "value": [first, signatures.to_ms(until)]}
        phone_calls = {"type": "enum", "op": "in", "value": ["phone_call"]}
        listed = self._list_calls({"start_timestamp": begun, "call_type": phone_calls}, key=key)
        next_key = listed.get("pagination_key") if listed.get("has_more") else None
        return Page(reports=tuple(map(report_item, listed["items"])), next_key=next_key or None)

    def _list_calls(self, criteria: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "filter_criteria": criteria,
            "limit": PAGE_SIZE,
            "sort_order": "ascending",
        }
        if key is not None:
            body["pagination_key"] = key
        return read_list(self._ask("POST", "/v3/list-calls", body=body))

    def hang_up(self, provider_call_id: str) -> None:
        self._ask("POST", f"/v2/stop-call/{_id(provider_call_id)}", by_id=True)

    def steer(
        self,
        provider_call_id: str,
        *,
        context: str = "",
        answer_now: bool = False,
        variables: Mapping[str, str | None] | None = None,
    ) -> None:
        control: dict[str, Any] = {}
        if context:
            control["additional_context"] = context
        if answer_now:
            control["trigger_response"] = True
        body: dict[str, Any] = {}
        if control:
            body["call_control"] = control
        if variables:
            body["fields_to_override"] = {"override_dynamic_variables": dict(variables)}
        if not body:
            return
        # Sent twice, the context would be said twice.
        answer = self._ask(
            "PATCH",
            f"/v2/update-live-call/{_id(provider_call_id)}",
            body=body,
            by_id=True,
            repeat=False,
        )
        if read_answer(answer).get("success") is False:
            raise Refused(_("The call could not be steered."), http_status=answer.status, body=answer.body)

    def stop_utterance(self, provider_call_id: str, utterance_id: str) -> None:
        raise NotOffered(Ability.BARGE_IN)

    def list_agents(self) -> list[AgentProfile]:
        voices = {"channel": {"type": "string", "op": "eq", "value": "voice"}}
        profiles = []
        for item in self._pages("POST", "/v2/list-agents", {"filter_criteria": voices}):
            try:
                agent = self._agent(str(item["agent_id"]))
                profiles.append(self._profile(agent, suspended=item.get("is_suspended") is True))
            except NotFound:  # deleted since it was listed
                continue
        return profiles

    def fetch_agent(self, provider_agent_id: str, version: int | None = None) -> AgentProfile:
        agent = self._agent(provider_agent_id, version)
        # Only the list tells whether an agent is suspended.
        named = {"filter_criteria": {"query": provider_agent_id}}
        suspended = any(
            item.get("is_suspended") is True
            for item in self._pages("POST", "/v2/list-agents", named)
            if item.get("agent_id") == provider_agent_id
        )
        return self._profile(agent, suspended=suspended)

    def fix_agent(self, provider_agent_id: str, changes: Mapping[str, Any]) -> AgentProfile:
        unknown = set(changes) - set(catalogue.AGENT_CHANGES) - set(catalogue.LLM_CHANGES)
        if unknown:
            raise ValueError(f"Cannot be changed at Retell: {', '.join(sorted(unknown))}.")
        agent = self._agent(provider_agent_id)
        llm = catalogue.llm_changes(changes)
        if llm and not catalogue.words_are_at_retell(agent):
            raise Refused(_("This agent's words are kept elsewhere; change them there."), code="not_allowed")
        mine = catalogue.agent_changes(changes, current=agent)
        if llm:
            self._ask("PATCH", f"/update-retell-llm/{_id(catalogue.engine_id(agent))}", body=llm, by_id=True)
        if mine:
            self._ask("PATCH", f"/update-agent/{_id(provider_agent_id)}", body=mine, by_id=True)
        return self.fetch_agent(provider_agent_id)

    def _agent(self, provider_agent_id: str, version: int | None = None) -> dict[str, Any]:
        agent = read_answer(self._get(f"/get-agent/{_id(provider_agent_id)}", version=version))
        if not isinstance(agent.get("agent_id"), str):
            raise Unclear(_("Retell's answer is no agent."))
        return agent

    def _profile(self, agent: Mapping[str, Any], *, suspended: bool) -> AgentProfile:
        return catalogue.read_profile(
            agent, self._engine(agent), suspended=suspended, newest_version=self._newest_version(agent)
        )

    def _engine(self, agent: Mapping[str, Any]) -> dict[str, Any]:
        engine = agent.get("response_engine")
        if not isinstance(engine, dict) or not (engine_id := catalogue.engine_id(agent)):
            return {}
        path = "get-retell-llm" if "llm_id" in engine else "get-conversation-flow"
        version = engine.get("version")
        number = int(version) if isinstance(version, int | float) else None
        return read_answer(self._get(f"/{path}/{_id(engine_id)}", version=number))

    def _newest_version(self, agent: Mapping[str, Any]) -> int | None:
        """Highest published. A server without the list of versions leaves the agent's own word."""
        path = f"/list-agent-versions/{_id(str(agent['agent_id']))}"
        try:
            published = [
                item["version"]
                for item in self._pages("GET", path, {})
                if item.get("is_published") and isinstance(item.get("version"), int)
            ]
        except NotFound:
            published = [agent["version"]] if agent.get("is_published") and "version" in agent else []
        return max(published, default=None)

    def create_agent(self, draft: AgentDraft) -> str:
        raise NotOffered(Ability.CREATE_AGENT)

    def capacity(self) -> Capacity:
        numbers = {
            key: value
            for key, value in read_answer(self._get("/get-concurrency")).items()
            if isinstance(value, int)
        }
        return Capacity(
            in_use=numbers.get("current_concurrency", 0),
            limit=numbers.get("concurrency_limit", 0),
            reserved_inbound=numbers.get("reserved_inbound_concurrency", 0),
        )

    def account(self) -> Account:
        try:
            info = read_answer(self._get("/get-api-key-info"))
        except NotFound:  # an older server: any answer at all shows that the key is good
            self.capacity()
            return Account(account_id="", name="")
        return Account(
            account_id=str(info.get("org_id") or ""),
            name=str(info.get("org_name") or ""),
            key_name=str(info.get("api_key_name") or ""),
        )

    def verify(self, body: bytes, signature: str | None, *, now: datetime) -> bytes:
        signatures.verify(body, signature, keys=self._webhook_keys, now=now)
        return body

    def read_event(self, body: bytes) -> ProviderEvent:
        return reading.read_event(body)

    def read_live(self, body: bytes) -> LiveEvent | None:
        return reading.read_live(body)

    def read_call(self, body: bytes) -> CallFacts:
        return reading.read_fetched(reading.read_object(body))

    def read_inbound(self, body: bytes) -> InboundAsk:
        return reading.read_inbound(body)

    def inbound_answer(self, reply: InboundReply) -> Mapping[str, Any]:
        answer: dict[str, Any] = {}
        if reply.provider_agent_id:
            answer["override_agent_id"] = reply.provider_agent_id
            if reply.agent_version is not None:
                answer["override_agent_version"] = _version(reply.agent_version)
        if reply.variables:
            answer["dynamic_variables"] = {name: str(value) for name, value in reply.variables.items()}
        if reply.metadata:
            answer["metadata"] = dict(reply.metadata)
        return {"call_inbound": answer}

    def _get(self, path: str, *, version: int | None = None) -> Answer:
        return self._ask("GET", path, version=version, by_id=True)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        version: int | None = None,
        by_id: bool = False,
        repeat: bool = True,
    ) -> Answer:
        """A 2xx answer, or the error it means. With `by_id`, 422 is Retell's way to say "no such thing"."""
        self._http.check_key()
        answer = self._http.ask(
            method,
            path,
            body=None if body is None else encode(body),
            params=params if version is None else {"version": str(version)},
            repeat=repeat,
        )
        if not 200 <= answer.status < 300:
            raise failure(answer, missing=(404, 422) if by_id and method != "PATCH" else (404,))
        return answer

    def _pages(self, method: str, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        key: str | None = None
        for _page in range(MOST_PAGES):
            at = {} if key is None else {"pagination_key": key}
            if method == "GET":
                listed = read_list(self._ask(method, path, params=at or None, by_id=True))
            else:
                listed = read_list(self._ask(method, path, body={**body, **at}))
            yield from listed["items"]
            following = listed.get("pagination_key")
            if not listed.get("has_more") or not isinstance(following, str) or following == key:
                return
            key = following


def _version(given: str) -> int | str:
    """A number, or the name of a tag."""
    return int(given) if given.isascii() and given.isdigit() else given


def _id(raw: str) -> str:
    return quote(raw, safe="")
