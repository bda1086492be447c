"""Recordings over HTTP. The link's token holds the whole conversation, so it plays after a restart."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import http_date
from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from agents.sandbox.account import now_ms
from agents.sandbox.phone_call import PhoneCall
from agents.sandbox.voices import CONTENT_TYPE, from_token, recording, token

USUAL_EXPIRY_S = 86_400.0


@lru_cache(maxsize=64)
def audio(link: str) -> bytes:
    """The sound of a token. Raises ValueError for a token that cannot be read."""
    return recording(from_token(link))


class Recordings:
    """`signed_url_s`: how long a signed link lives, in real seconds; used for agents that opted in."""

    def __init__(self, *, key: str) -> None:
        self.base_url = ""
        self.signed_url_s = USUAL_EXPIRY_S
        self._key = key
        self._tokens: dict[str, str] = {}

    def url_of(self, call: PhoneCall) -> str:
        """A signed link is signed anew each time it is shown."""
        assert call.conversation is not None
        if call.id not in self._tokens:
            self._tokens[call.id] = token(call.conversation)
        link = self._tokens[call.id]
        url = f"{self.base_url}/recordings/{link}.mp3"
        if not call.agent.get("opt_in_signed_url"):
            return url
        expires = now_ms() + int(self.signed_url_s * 1000)
        return f"{url}?Expires={expires}&Signature={self._signature(link, expires)}"

    def forget(self) -> None:
        self._tokens.clear()

    def rules(self) -> Sequence[Rule]:
        return [Rule("/recordings/<link>.mp3", methods=["GET"], endpoint=self.recording)]

    def serve(
        self, request: Request, endpoint: Callable[..., Response], values: Mapping[str, Any]
    ) -> Response:
        return endpoint(request, **values)

    def recording(self, request: Request, link: str) -> Response:
        """Whole or in part (Range); 403 for a signed link that is too old or changed."""
        if "Expires" in request.args:
            expires = request.args.get("Expires", "0")
            fresh = expires.isdecimal() and int(expires) >= now_ms()
            given = request.args.get("Signature", "")
            if not fresh or not hmac.compare_digest(given.encode(), self._signature(link, expires).encode()):
                return Response("This link has expired.", status=403, content_type="text/plain")
        try:
            sound = audio(link)
        except ValueError:
            return Response("There is no such recording.", status=404, content_type="text/plain")
        response = Response(sound, content_type=CONTENT_TYPE)
        response.headers["Accept-Ranges"] = "bytes"
        response.headers["Cache-Control"] = "public, max-age=3600"
        response.headers["Last-Modified"] = http_date(0)
        response.set_etag(hashlib.sha256(link.encode()).hexdigest()[:32])
        try:
            return response.make_conditional(request, accept_ranges=True, complete_length=len(sound))
        except RequestedRangeNotSatisfiable as beyond:
            return Response(status=416, headers=beyond.get_headers())

    def _signature(self, link: str, expires: Any) -> str:
        return hmac.new(self._key.encode(), f"{link}:{expires}".encode(), hashlib.sha256).hexdigest()
