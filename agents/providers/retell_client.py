"""The client that carries RETELL_API_KEY, under either contract."""

from __future__ import annotations

import re

import httpx
from django.utils.translation import gettext as _

from agents.providers.base import RefusalScope, Refused
from agents.providers.http import ASK_DEADLINE_S, HttpClient

KEY_FORM = re.compile(r"[\x21-\x7e]+")


class RetellClient(HttpClient):
    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        transport: httpx.BaseTransport | None = None,
        ask_deadline_s: float = ASK_DEADLINE_S,
    ) -> None:
        self._usable = KEY_FORM.fullmatch(api_key) is not None
        headers = {"Authorization": f"Bearer {api_key}"} if self._usable else {}
        super().__init__(base_url, headers=headers, transport=transport, ask_deadline_s=ask_deadline_s)

    def check_key(self) -> None:
        """Before anything leaves. Raises Refused without a key, or with one that no header can carry."""
        if not self._usable:
            raise Refused(
                _("RETELL_API_KEY is missing or is no key."),
                scope=RefusalScope.ACCOUNT,
                code="authentication",
            )
