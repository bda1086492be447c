"""Retell's telephone numbers: read, imported over a trunk of ours, changed, given up (retell-sdk 6.2.13).

An E.164 number is its id, and stands raw in the path. Credentials have other names in an import than in a
change; the number to fall back to is taken by a change alone. Wrong credentials are not found out here: the
first call fails.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from agents.providers import retell_agents as catalogue
from agents.providers.base import NumberProfile, Provider
from agents.providers.http import Answer
from agents.providers.numbers import NumberOrder
from agents.providers.retell_answers import read_answer

TRANSPORT = "TCP"
"""As the origination URL of the trunk has it."""


class RetellNumbers(Provider):
    """The part of today's contract that is about numbers."""

    @abstractmethod
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
    ) -> Answer: ...

    @abstractmethod
    def _pages(self, method: str, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]: ...

    def list_numbers(self) -> list[NumberProfile]:
        return [catalogue.read_number(item) for item in self._pages("GET", "/v2/list-phone-numbers", {})]

    def fetch_number(self, number: str) -> NumberProfile:
        return catalogue.read_number(
            read_answer(self._ask("GET", _path("get-phone-number", number), by_id=True))
        )

    def set_inbound_webhook(self, number: str, url: str) -> NumberProfile:
        return self._change(number, {"inbound_webhook_url": url or None})

    def import_number(self, order: NumberOrder) -> NumberProfile:
        body = _common(order) | {
            "phone_number": order.number,
            "sip_trunk_auth_username": order.username,
            "sip_trunk_auth_password": order.password,
            "ignore_e164_validation": False,
        }
        return catalogue.read_number(
            read_answer(self._ask("POST", "/import-phone-number", body=body, repeat=False))
        )

    def change_number(self, order: NumberOrder) -> NumberProfile:
        body = _common(order) | {
            "auth_username": order.username,
            "auth_password": order.password,
            "fallback_number": order.fallback_number or None,
        }
        return self._change(order.number, body)

    def remove_number(self, number: str) -> None:
        self._ask("DELETE", _path("delete-phone-number", number), by_id=True)

    def _change(self, number: str, body: Mapping[str, Any]) -> NumberProfile:
        path = _path("update-phone-number", number)
        return catalogue.read_number(read_answer(self._ask("PATCH", path, body=body, by_id=True)))


def _path(verb: str, number: str) -> str:
    return f"/{verb}/{quote(number, safe='+')}"


def _common(order: NumberOrder) -> dict[str, Any]:
    return {
        "termination_uri": order.trunk_domain,
        "transport": TRANSPORT,
        "nickname": order.label or order.number,
        "inbound_agents": _bound(order.inbound_agent_id),
        "outbound_agents": _bound(order.outbound_agent_id),
        "inbound_webhook_url": order.inbound_webhook_url,
    }


def _bound(agent_id: str) -> list[dict[str, Any]]:
    return [{"agent_id": agent_id, "weight": 1}]
