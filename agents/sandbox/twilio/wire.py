"""How Twilio answers: JSON, errors with a number, two kinds of pages."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

VERSION = "2010-04-01"
LARGEST_PAGE = 1000
USUAL_PAGE = 50


class TwilioError(Exception):
    """Answered as `{"code", "message", "more_info", "status"}`."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self) -> Response:
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        body = {"code": self.code, "message": self.message, "more_info": more, "status": self.status}
        response = answer(body, self.status)
        if self.status == 429:
            response.headers["Retry-After"] = "1"
        return response


def missing(what: str) -> TwilioError:
    return TwilioError(404, 20404, f"The requested resource {what} was not found")


def answer(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status=status, content_type="application/json")


def new_sid(prefix: str) -> str:
    """Never repeated, not even by the same seed."""
    return prefix + uuid.uuid4().hex


def rfc2822(moment: float | None) -> str | None:
    return None if moment is None else format_datetime(datetime.fromtimestamp(moment, UTC))


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def truth(text: str | None, default: bool = False) -> bool:
    return default if text is None else text.lower() == "true"


def demanded(request: Request, *names: str) -> list[str]:
    """These fields of the form. Raises TwilioError for one that is not there."""
    for name in names:
        if not request.form.get(name):
            raise TwilioError(400, 21201 if name == "To" else 20001, f"Missing required parameter {name}")
    return [request.form[name] for name in names]


def _slice(request: Request) -> tuple[int, int]:
    try:
        size = int(request.args.get("PageSize", USUAL_PAGE))
        number = int(request.args.get("Page", 0))
    except ValueError as error:
        raise TwilioError(400, 20001, "Page and PageSize must be numbers") from error
    if not (1 <= size <= LARGEST_PAGE and number >= 0):
        raise TwilioError(400, 20006, "Page size must be between 1 and 1000")
    return number, size


def _following(request: Request, number: int, size: int) -> str:
    kept = [
        (name, value) for name, value in request.args.items(multi=True) if name not in ("Page", "PageSize")
    ]
    return f"{request.path}?" + urlencode([*kept, ("PageSize", size), ("Page", number + 1)])


def page(request: Request, key: str, items: Sequence[dict[str, Any]]) -> Response:
    """As under /2010-04-01."""
    number, size = _slice(request)
    some = list(items[number * size : (number + 1) * size])
    more = (number + 1) * size < len(items)
    return answer(
        {
            key: some,
            "page": number,
            "page_size": size,
            "start": number * size,
            "end": number * size + max(len(some) - 1, 0),
            "uri": request.full_path.rstrip("?"),
            "first_page_uri": f"{request.path}?PageSize={size}&Page=0",
            "previous_page_uri": None,
            "next_page_uri": _following(request, number, size) if more else None,
        }
    )


def page_with_meta(request: Request, key: str, items: Sequence[dict[str, Any]]) -> Response:
    """As under trunking's /v1."""
    number, size = _slice(request)
    some = list(items[number * size : (number + 1) * size])
    more = (number + 1) * size < len(items)
    address = request.host_url.rstrip("/")
    meta = {
        "key": key,
        "page": number,
        "page_size": size,
        "url": address + request.full_path.rstrip("?"),
        "first_page_url": f"{address}{request.path}?PageSize={size}&Page=0",
        "previous_page_url": None,
        "next_page_url": address + _following(request, number, size) if more else None,
    }
    return answer({key: some, "meta": meta})
