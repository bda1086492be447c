"""WSGI entry for every server: `callcenter.wsgi:application`."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")

everything = get_wsgi_application()

from callcenter.checks import NotConfigured, refuse_without_settings  # noqa: E402  needs the apps loaded above
from calls.lifecycle.inbox import open_group  # noqa: E402
from calls.webhooks import door  # noqa: E402

try:
    refuse_without_settings("web")
except NotConfigured as refusal:
    raise SystemExit(str(refusal)) from None


class WebhookHandler(WSGIHandler):
    """The same views without middleware, of which webhooks need none and pay a third of their time for."""

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._middleware_chain = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]


webhooks = WebhookHandler()
open_group()
# What is loaded stays: walking all of it again would stop every request of this process for 70 ms of a core.
gc.collect()
gc.freeze()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if door.answers(environ):
        return door.application(environ, start_response)
    handler = webhooks if environ.get("PATH_INFO", "").startswith("/webhook/") else everything
    return handler(environ, start_response)
