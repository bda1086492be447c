"""The customer's account at the provider: agents with their versions, prompts, numbers."""

from __future__ import annotations

import copy
import random
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from agents.sandbox import seeds


class NoSuchThing(LookupError):
    """The account has no agent, version, prompt or number of that id."""


class ThereAlready(ValueError):
    """The account has that number."""


def now_ms() -> int:
    return int(time.time() * 1000)


def assistant_as_agent(agent_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """An assistant of the article's contract in the words of today's."""
    return {
        "agent_id": agent_id,
        "agent_name": str(body.get("name") or ""),
        "channel": "voice",
        "voice_id": str((body.get("voice") or {}).get("voice_id") or ""),
        "language": str((body.get("transcriber") or {}).get("language") or "en-US"),
        "response_engine": dict(body.get("response_engine") or {}),
        "assistant": copy.deepcopy(dict(body)),
        "version": 0,
        "base_version": None,
        "is_published": True,
        "last_modification_timestamp": now_ms(),
    }


class Account:
    """Thread-safe. Everything handed out is a copy."""

    org_id = "org_sandbox"
    org_name = "Harbour Energy Desk (sandbox)"

    def __init__(self, *, inbound_webhook_url: str | None, seed: int) -> None:
        self._lock = threading.RLock()
        self._random = random.Random(f"account:{seed}")  # noqa: S311  repeatable on purpose
        stamp = now_ms()
        self._agents: dict[str, dict[int, dict[str, Any]]] = {}
        for agent, count in seeds.agents():
            self._agents[agent["agent_id"]] = {
                version: {
                    **copy.deepcopy(agent),
                    "version": version,
                    "base_version": version - 1 if version else None,
                    "is_published": True,
                    "last_modification_timestamp": stamp - (count - 1 - version) * 86_400_000,
                }
                for version in range(count)
            }
        self._llms = {
            llm["llm_id"]: {**llm, "version": 0, "is_published": True, "last_modification_timestamp": stamp}
            for llm in seeds.llms()
        }
        self._numbers = {
            number["phone_number"]: {**number, "last_modification_timestamp": stamp}
            for number in seeds.numbers(inbound_webhook_url)
        }

    def agent(self, agent_id: str, version: int | str | None = None) -> dict[str, Any]:
        """`version`: a number, "latest" (also None) or "latest_published". Raises NoSuchThing."""
        with self._lock:
            versions = self._agents.get(agent_id)
            if not versions:
                raise NoSuchThing(f"agent {agent_id}")
            if isinstance(version, str) and version.isdecimal():
                version = int(version)
            if version is None or version == "latest":
                version = max(versions)
            elif version == "latest_published":
                version = max(number for number, body in versions.items() if body["is_published"])
            if not isinstance(version, int) or version not in versions:
                raise NoSuchThing(f"version {version} of agent {agent_id}")
            return copy.deepcopy(versions[version])

    def add_assistant(self, body: Mapping[str, Any]) -> str:
        """An agent made under the article's contract, with what the network needs to know of it; its id."""
        agent_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        with self._lock:
            self._agents[agent_id] = {0: assistant_as_agent(agent_id, body)}
        return agent_id

    def agents(self) -> list[dict[str, Any]]:
        with self._lock:
            return [self.agent(agent_id) for agent_id in self._agents]

    def versions(self, agent_id: str) -> list[dict[str, Any]]:
        with self._lock:
            self.agent(agent_id)
            return [copy.deepcopy(body) for _, body in sorted(self._agents[agent_id].items())]

    def change_agent(
        self, agent_id: str, version: int | str | None, changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        with self._lock:
            chosen = self.agent(agent_id, version)["version"]
            body = self._agents[agent_id][chosen]
            body.update(copy.deepcopy(dict(changes)))
            body["last_modification_timestamp"] = now_ms()
            return copy.deepcopy(body)

    def llm(self, llm_id: str) -> dict[str, Any]:
        with self._lock:
            if llm_id not in self._llms:
                raise NoSuchThing(f"retell llm {llm_id}")
            return copy.deepcopy(self._llms[llm_id])

    def llms(self) -> list[dict[str, Any]]:
        with self._lock:
            return [copy.deepcopy(body) for body in self._llms.values()]

    def change_llm(self, llm_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.llm(llm_id)
            self._llms[llm_id].update(copy.deepcopy(dict(changes)))
            self._llms[llm_id]["last_modification_timestamp"] = now_ms()
            return self.llm(llm_id)

    def number(self, e164: str) -> dict[str, Any]:
        with self._lock:
            if e164 not in self._numbers:
                raise NoSuchThing(f"phone number {e164}")
            return copy.deepcopy(self._numbers[e164])

    def numbers(self) -> list[dict[str, Any]]:
        with self._lock:
            return [copy.deepcopy(body) for body in self._numbers.values()]

    def add_number(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ThereAlready."""
        e164 = str(body["phone_number"])
        with self._lock:
            if e164 in self._numbers:
                raise ThereAlready(e164)
            self._numbers[e164] = {**copy.deepcopy(dict(body)), "last_modification_timestamp": now_ms()}
            return self.number(e164)

    def remove_number(self, e164: str) -> None:
        with self._lock:
            self.number(e164)
            del self._numbers[e164]

    def change_number(
        self, e164: str, changes: Mapping[str, Any], trunk: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """`trunk`: of its way out, what changes."""
        with self._lock:
            body = self.number(e164)
            self._numbers[e164].update(copy.deepcopy(dict(changes)))
            if trunk:
                self._numbers[e164]["sip_outbound_trunk_config"] = {
                    **(body.get("sip_outbound_trunk_config") or {}),
                    **trunk,
                }
            self._numbers[e164]["last_modification_timestamp"] = now_ms()
            return self.number(e164)

    def line_of(self, e164: str) -> str:
        """What shares one pace: the trunk, or the provider the number was bought through."""
        number = self.number(e164)
        trunk = number.get("sip_outbound_trunk_config") or {}
        return str(trunk.get("termination_uri") or number["phone_number_type"])

    def bound_agent(self, e164: str, direction: str) -> dict[str, Any] | None:
        """One of the number's agents for "inbound" or "outbound", by weight. None: nobody is bound."""
        bindings: Sequence[Mapping[str, Any]] = self.number(e164).get(f"{direction}_agents") or []
        if not bindings:
            return None
        with self._lock:
            chosen = self._random.choices(bindings, weights=[item["weight"] for item in bindings])[0]
        return self.agent(chosen["agent_id"], chosen.get("agent_version"))

    def variables_for(self, agent: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
        """What the agent speaks with: its prompt's defaults under what the call brought."""
        engine = agent["response_engine"]
        defaults: Mapping[str, str] = {}
        if engine.get("llm_id") in self._llms:
            defaults = self.llm(engine["llm_id"]).get("default_dynamic_variables") or {}
        return {**defaults, **given}
