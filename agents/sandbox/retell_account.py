"""Retell's endpoints for what an account holds: agents, prompts, telephone numbers, the key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from agents.sandbox import retell_requests as requests
from agents.sandbox.account import Account, ThereAlready
from agents.sandbox.faults import Faults
from agents.sandbox.retell_answers import ApiError, answer, paged


class AccountDesk:
    def __init__(self, account: Account, faults: Faults) -> None:
        self._account, self._faults = account, faults

    def rules(self) -> Sequence[Rule]:
        """Paths exactly as Retell has them; a number stands raw in its path."""

        def rule(method: str, path: str, endpoint: Callable[..., Response]) -> Rule:
            return Rule(path, methods=[method], endpoint=endpoint)

        return [
            rule("POST", "/v2/list-agents", self.list_agents),
            rule("GET", "/get-agent/<agent_id>", self.get_agent),
            rule("PATCH", "/update-agent/<agent_id>", self.update_agent),
            rule("GET", "/list-agent-versions/<agent_id>", self.list_agent_versions),
            rule("GET", "/get-retell-llm/<llm_id>", self.get_llm),
            rule("PATCH", "/update-retell-llm/<llm_id>", self.update_llm),
            rule("GET", "/v2/list-retell-llms", self.list_llms),
            rule("GET", "/v2/list-phone-numbers", self.list_numbers),
            rule("GET", "/get-phone-number/<number>", self.get_number),
            rule("POST", "/import-phone-number", self.import_number),
            rule("PATCH", "/update-phone-number/<number>", self.update_number),
            rule("DELETE", "/delete-phone-number/<number>", self.delete_number),
            rule("GET", "/get-api-key-info", self.get_api_key_info),
        ]

    def list_agents(self, request: Request) -> Response:
        found = requests.read_json(request.get_data())
        wanted = str((found.get("filter_criteria") or {}).get("query", "")).lower()
        items = [
            {
                "agent_id": agent["agent_id"],
                "agent_name": agent["agent_name"],
                "channel": "voice",
                "is_suspended": False,
                "tags": {},
                "user_modified_timestamp": agent["last_modification_timestamp"],
                "is_transfer_agent": False,
            }
            for agent in self._account.agents()
            if wanted in agent["agent_name"].lower() or wanted in agent["agent_id"]
        ]
        return answer(paged(items, requests.read_slice(found), key="agent_id"))

    def get_agent(self, request: Request, agent_id: str) -> Response:
        return answer(self._account.agent(agent_id, request.args.get("version")))

    def update_agent(self, request: Request, agent_id: str) -> Response:
        changes = requests.read_agent_changes(requests.read_json(request.get_data()))
        return answer(self._account.change_agent(agent_id, request.args.get("version"), changes))

    def list_agent_versions(self, request: Request, agent_id: str) -> Response:
        names = ("version", "base_version", "is_published", "last_modification_timestamp")
        items = [{name: body[name] for name in names} for body in self._account.versions(agent_id)]
        part = requests.read_slice(request.args)
        return answer(paged(items if part.ascending else items[::-1], part, key="version"))

    def get_llm(self, request: Request, llm_id: str) -> Response:
        return answer(self._account.llm(llm_id))

    def update_llm(self, request: Request, llm_id: str) -> Response:
        changes = requests.read_json(request.get_data())
        requests.read_strings(changes.get("default_dynamic_variables"), "default_dynamic_variables")
        return answer(self._account.change_llm(llm_id, changes))

    def list_llms(self, request: Request) -> Response:
        return answer(paged(self._account.llms(), requests.read_slice(request.args), key="llm_id"))

    def list_numbers(self, request: Request) -> Response:
        shown = [_without_password(body) for body in self._account.numbers()]
        return answer(paged(shown, requests.read_slice(request.args), key="phone_number"))

    def get_number(self, request: Request, number: str) -> Response:
        return answer(_without_password(self._account.number(number)))

    def import_number(self, request: Request) -> Response:
        """Credentials are taken as they are: whether the trunk accepts them, the first call tells."""
        body = requests.read_import(requests.read_json(request.get_data()))
        self._check_agents(body)
        try:
            made = self._account.add_number(body)
        except ThereAlready as known:
            raise ApiError(400, f"Phone number {known} already exists") from known
        if self._faults.take("make_500_after", event="import-phone-number"):
            raise ApiError(500, "Internal server error")
        return answer(_without_password(made), 201)

    def update_number(self, request: Request, number: str) -> Response:
        found = requests.read_json(request.get_data())
        changes = requests.read_number_changes(found)
        self._check_agents(changes)
        trunk = requests.read_trunk_changes(found)
        return answer(_without_password(self._account.change_number(number, changes, trunk)))

    def delete_number(self, request: Request, number: str) -> Response:
        self._account.remove_number(number)
        return Response(status=204)

    def _check_agents(self, body: Mapping[str, Any]) -> None:
        for binding in (body.get("inbound_agents") or []) + (body.get("outbound_agents") or []):
            self._account.agent(binding["agent_id"], binding.get("agent_version"))

    def get_api_key_info(self, request: Request) -> Response:
        return answer(
            {
                "org_id": self._account.org_id,
                "org_name": self._account.org_name,
                "api_key_name": "Sandbox key",
            }
        )


def _without_password(body: dict[str, Any]) -> dict[str, Any]:
    """It goes in and never comes out."""
    trunk = body.get("sip_outbound_trunk_config")
    if not trunk:
        return body
    shown = {name: value for name, value in trunk.items() if name != "auth_password"}
    return {**body, "sip_outbound_trunk_config": shown}
