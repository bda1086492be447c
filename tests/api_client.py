"""Another system: a client with an API key."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from calls.api.keys import make_key
from calls.models import ApiKey

LEADS = "/api/v1/leads/"
CALLS = "/api/v1/calls/"
AGENTS = "/api/v1/agents/"
DO_NOT_CALL = "/api/v1/do-not-call/"


class Api:
    """`api.post(CALLS, {...})` returns Django's test response; JSON in both directions."""

    def __init__(self, *scopes: str, owner: User | None = None) -> None:
        self.key: ApiKey
        self.key, self.secret = make_key("CRM", scopes or ("read", "call"), owner)
        self.client = Client(headers={"Authorization": f"Bearer {self.secret}"})

    def get(self, path: str, query: dict[str, Any] | None = None, **options: Any) -> Any:
        return self.client.get(path, query, **options)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(
            path, {} if body is None else body, content_type="application/json", headers=headers
        )

    def patch(self, path: str, body: Any) -> Any:
        return self.client.patch(path, body, content_type="application/json")


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem that `response` is."""
    told: dict[str, Any] = response.json()
    assert (response.status_code, told["code"]) == (status, code), told
    assert response["Content-Type"] == "application/problem+json"
    assert told["status"] == status
    assert {"type", "title", "detail"} <= set(told)
    return told
