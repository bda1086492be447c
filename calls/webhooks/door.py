"""`POST /webhook/retell` straight from WSGI: the steps and answers of the view, without its request.

Retell tells of a call four times and more, and Django's request, resolver and response take three times as
long as checking the signature and handing over the row. Whatever is out of the ordinary (another method, a
body of unknown length) is left to the view.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import structlog

from agents.providers.registry import get_provider
from callcenter.connections import hand_back
from calls.webhooks.retell import LARGEST_BODY, SEND_AGAIN, TOO_LARGE, Answer, receive

log = structlog.get_logger(__name__)

PATH = "/webhook/retell"
STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def answers(environ: dict[str, Any]) -> bool:
    return (
        environ.get("PATH_INFO") == PATH
        and environ["REQUEST_METHOD"] == "POST"
        and environ.get("CONTENT_LENGTH", "").isdecimal()
    )


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    length = int(environ["CONTENT_LENGTH"])
    try:
        answer = _receive(environ, length) if length <= LARGEST_BODY else TOO_LARGE
    except Exception:
        # It was signed, or may have been: it is sent again, and we are told why.
        log.exception("a webhook could not be taken")
        answer = SEND_AGAIN
    finally:
        hand_back()
    told = b"" if answer.told is None else json.dumps(answer.told).encode()
    kind = "text/plain; charset=utf-8" if answer.told is None else "application/json"
    headers = [("Content-Type", kind), ("Content-Length", str(len(told))), *answer.headers.items()]
    start_response(STATUS[answer.status], headers)
    return [told]


def _receive(environ: dict[str, Any], length: int) -> Answer:
    provider = get_provider()
    header = "HTTP_" + provider.signature_header.upper().replace("-", "_")
    return receive(provider, environ["wsgi.input"].read(length), environ.get(header))
