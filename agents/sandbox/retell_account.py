"""Retell's endpoints for what an account holds: agents, prompts, telephone numbers, the key."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from agents.sandbox import retell_requests as requests
from agents.sandbox.account import Account
from agents.sandbox.retell_answers import answer, paged


class AccountDesk:
    def __init__(self, account: Account) -> None:
        self._account = account

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
        return answer(paged(self._account.numbers(), requests.read_slice(request.args), key="phone_number"))

    def get_number(self, request: Request, number: str) -> Response:
        return answer(self._account.number(number))

    def update_number(self, request: Request, number: str) -> Response:
        changes = requests.read_number_changes(requests.read_json(request.get_data()))
        for binding in (changes.get("inbound_agents") or []) + (changes.get("outbound_agents") or []):
            self._account.agent(binding["agent_id"], binding.get("agent_version"))
        return answer(self._account.change_number(number, changes))

    def get_api_key_info(self, request: Request) -> Response:
        return answer(
            {
                "org_id": self._account.org_id,
                "org_name": self._account.org_name,
                "api_key_name": "Sandbox key",
            }
        )
