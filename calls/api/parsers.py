"""Request bodies: JSON of a bounded size, and only what both databases can keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from io import BytesIO
from typing import Any, BinaryIO

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from calls.api.problems import TooLarge

LARGEST_BODY = 1024 * 1024
DEEPEST = 32


class BoundedJSONParser(JSONParser):
    """Raises TooLarge over 1 MiB, and ParseError for what is no JSON or what no row could hold.

    PostgreSQL keeps no NUL in text, neither database a half of a surrogate pair or a number beyond
    64-bit floats; all three are legal JSON.
    """

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = self._read(stream)
        try:
            data = super().parse(BytesIO(body), media_type, dict(parser_context or {}))
        except RecursionError as error:
            raise ParseError(_("The JSON is nested too deeply.")) from error
        _refuse_unstorable(data, 0)
        return data

    def _read(self, stream: BinaryIO) -> bytes:
        body = stream.read(LARGEST_BODY + 1)
        if len(body) > LARGEST_BODY:
            raise TooLarge(_("The body is larger than 1 MiB."))
        return body


def _refuse_unstorable(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ParseError(_("The JSON is nested too deeply."))
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
            raise ParseError(_("Text holds NUL or half a surrogate pair, which cannot be stored."))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ParseError(_("A number is too large."))
    elif isinstance(value, dict):
        for name, inner in value.items():
            _refuse_unstorable(name, depth)
            _refuse_unstorable(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _refuse_unstorable(inner, depth + 1)
