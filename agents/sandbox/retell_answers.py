"""How Retell answers: JSON, pages of a list, and {"status": "error", "message": ...} for a no."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response


class ApiError(Exception):
    """400 wrong request, 401 key, 402 credit, 422 unknown asset, 429 too much, 500."""

    def __init__(self, status: int, message: str, *, why: str = "", headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.why = why or str(status)
        """A word for the ledger."""
        self.headers = dict(headers or {})

    def response(self) -> Response:
        body = json.dumps({"status": "error", "message": self.message}, ensure_ascii=False)
        return Response(body, status=self.status, headers=self.headers, content_type="application/json")


def unknown_asset(what: object) -> ApiError:
    return ApiError(422, f"Cannot find requested asset under given api key: {what}", why="unknown asset")


def to_bytes(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def answer(body: object, status: int = 200) -> Response:
    return Response(to_bytes(body), status=status, content_type="application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Which part of a list is wanted. `after` is the id of the last item of the page before."""

    limit: int
    skip: int
    after: str | None
    ascending: bool


def paged(items: Sequence[dict[str, Any]], part: Slice, *, key: str) -> dict[str, Any]:
    """`items` in order; the pagination key is the last item's id. Raises ApiError 400 for a key unknown."""
    start = part.skip
    if part.after is not None:
        places = [place for place, item in enumerate(items) if str(item[key]) == str(part.after)]
        if not places:
            raise ApiError(400, "pagination_key is not known")
        start = places[0] + 1
    chosen = list(items[start : start + part.limit])
    more = start + part.limit < len(items)
    page: dict[str, Any] = {"items": chosen, "has_more": more}
    if more:
        page["pagination_key"] = str(chosen[-1][key])
    return page
