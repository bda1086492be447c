"""The sound of a call, through our own door.

Links at the phone company may be signed and expire, or be open to whoever holds them; so none leaves
this server. Each listening asks for the call afresh and passes the bytes on, or, where a copy is kept
here (`calls.recording_copies`), comes from that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import httpx
import structlog
from django.utils.translation import gettext as _

from agents.providers.abilities import Ability
from agents.providers.base import NotFound, Provider, ProviderError
from agents.providers.registry import get_provider, provider_of
from callcenter.checks import calls_the_sandbox, on_loopback
from calls.models import Call, RecordingCopy
from calls.models.call_words import DESK_PROVIDER
from calls.models.recording import CopyState

log = structlog.get_logger(__name__)

TIMEOUT = httpx.Timeout(20.0, connect=5.0)
CHUNK = 64 * 1024
DEFAULT_TYPE = "audio/mpeg"
ONE_RANGE = re.compile(r"^bytes=(\d{0,18})-(\d{0,18})$")


class RecordingGone(Exception):
    """There is no recording, or no longer one."""


class RecordingUnavailable(Exception):
    """It could not be fetched just now; asking again may help."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Ready to be passed on: 200, 206 with `content_range`, or 416 without chunks.

    Whoever holds it iterates `chunks` or calls `close`.
    """

    status: int
    content_type: str
    length: int | None
    content_range: str
    chunks: Iterator[bytes]
    source: Any = field(repr=False)
    """What has a `close`: the phone company's answer or our file."""

    def close(self) -> None:
        self.source.close()


def may_have_one(call: Call) -> bool:
    """Whether it makes sense to offer a player."""
    # Who calls without AI tells of each recording; else there is one of every conversation.
    told = call.provider == DESK_PROVIDER
    heard = call.recording_url or (call.answered_at and not told)
    return bool(call.provider_call_id and call.ended_at and heard)


def open_recording(
    call: Call,
    *,
    byte_range: str = "",
    part: int = 1,
    provider: Provider | None = None,
    client: httpx.Client | None = None,
) -> Recording:
    """The recording from the first byte asked for: our own copy where there is one, of its first part.

    `byte_range` is a request's Range header; what cannot be read is ignored, as HTTP wants. May speak
    HTTP: no transaction may be open. Raises RecordingGone, RecordingUnavailable.
    """
    kept = RecordingCopy.objects.filter(pk=call.pk).first()
    if kept is not None and kept.state == CopyState.DELETED:
        raise RecordingGone(_("The recording was deleted."))
    if kept is not None and kept.state == CopyState.KEPT and part == 1:
        try:
            return _from_file(kept, byte_range)
        except FileNotFoundError:
            log.exception("a kept recording is not there", call=str(call.pk), path=str(kept.path))
    return fetch_recording(call, byte_range=byte_range, part=part, provider=provider, client=client)


def _from_file(kept: RecordingCopy, byte_range: str) -> Recording:
    file = kept.path.open("rb")
    total = kept.path.stat().st_size
    content_type = kept.content_type or DEFAULT_TYPE
    first, last = _bounds(byte_range.strip(), total)
    if first is None or last is None:
        return Recording(200, content_type, total, "", _pieces(file, 0, total), file)
    if first > last:
        file.close()
        return Recording(416, content_type, 0, f"bytes */{total}", iter(()), file)
    length = last - first + 1
    given = f"bytes {first}-{last}/{total}"
    return Recording(206, content_type, length, given, _pieces(file, first, length), file)


def _pieces(file: BinaryIO, first: int, length: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        while length > 0 and (piece := file.read(min(CHUNK, length))):
            length -= len(piece)
            yield piece


def fetch_recording(
    call: Call,
    *,
    byte_range: str = "",
    part: int = 1,
    provider: Provider | None = None,
    client: httpx.Client | None = None,
) -> Recording:
    """As `open_recording`, from the phone company: the call is asked for afresh, its link used once."""
    carrier = provider_of(call.provider, provider or get_provider())
    url = _fresh_url(call, carrier, part)
    wanted = ONE_RANGE.match(byte_range.strip())
    headers = {"Accept-Encoding": "identity", **carrier.recording_headers()}
    if wanted and (wanted[1] or wanted[2]):
        headers["Range"] = f"bytes={wanted[1]}-{wanted[2]}"
    http = client or httpx.Client(timeout=TIMEOUT, follow_redirects=True, max_redirects=3)
    try:
        answer = http.send(http.build_request("GET", url, headers=headers), stream=True)
    except httpx.HTTPError as error:
        http.close()
        raise RecordingUnavailable(_("The recording could not be fetched just now.")) from error
    if answer.status_code == 416:
        answer.close()
        return Recording(416, DEFAULT_TYPE, 0, answer.headers.get("Content-Range", ""), iter(()), answer)
    if answer.status_code not in {200, 206}:
        answer.close()
        http.close()
        if answer.status_code >= 500 or answer.status_code == 429:
            raise RecordingUnavailable(_("The recording could not be fetched just now."))
        raise RecordingGone(_("The phone company no longer has this recording."))
    return _passed_on(answer, asked=headers.get("Range", ""), http=http)


def _fresh_url(call: Call, provider: Provider, part: int) -> str:
    if not call.provider_call_id:
        raise RecordingGone(_("This call never reached the phone company."))
    try:
        if Ability.LOOK_UP in provider.abilities:
            facts = provider.fetch_call(call.provider_call_id).facts
            parts_of_it = [facts.recording_url or "", *(facts.further_recordings or ())]
        else:
            parts_of_it = [call.recording_url, *call.further_recordings]
    except NotFound as error:
        raise RecordingGone(_("The phone company no longer knows this call.")) from error
    except ProviderError as error:
        raise RecordingUnavailable(error.message) from error
    url = parts_of_it[part - 1] if 1 <= part <= len(parts_of_it) else ""
    if not url:
        raise RecordingGone(_("This call was not recorded."))
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or (on_loopback(url) and not calls_the_sandbox()):
        # An address inside this machine would turn the player into a door to our own services.
        raise RecordingGone(_("The link to the recording cannot be used."))
    return url


def _passed_on(answer: httpx.Response, *, asked: str, http: httpx.Client) -> Recording:
    given = answer.headers.get("Content-Length", "")
    total = int(given) if given.isdecimal() else None
    content_type = answer.headers.get("Content-Type", DEFAULT_TYPE)
    if not content_type.startswith("audio/"):
        # Served from our origin, so it must never be anything a browser would run.
        content_type = DEFAULT_TYPE
    first, last = _bounds(asked, total)
    if answer.status_code == 206 or first is None or last is None or total is None:
        chunks = _chunks(answer, http, skip=0, most=None)
        return Recording(
            answer.status_code, content_type, total, answer.headers.get("Content-Range", ""), chunks, answer
        )
    # The storage knows no ranges: cut here, since a player cannot jump without them.
    if first > last:
        answer.close()
        http.close()
        return Recording(416, content_type, 0, f"bytes */{total}", iter(()), answer)
    chunks = _chunks(answer, http, skip=first, most=last - first + 1)
    return Recording(206, content_type, last - first + 1, f"bytes {first}-{last}/{total}", chunks, answer)


def _bounds(asked: str, total: int | None) -> tuple[int | None, int | None]:
    """First and last byte; None, None without a range or a length. An impossible range has first > last."""
    wanted = ONE_RANGE.match(asked)
    if wanted is None or total is None:
        return None, None
    if not wanted[1]:
        return max(total - int(wanted[2]), 0), total - 1
    first = int(wanted[1])
    last = min(int(wanted[2]) if wanted[2] else total - 1, total - 1)
    return first, last


def _chunks(answer: httpx.Response, http: httpx.Client, *, skip: int, most: int | None) -> Iterator[bytes]:
    try:
        for chunk in answer.iter_bytes(CHUNK):
            piece, skip = chunk[skip:], max(skip - len(chunk), 0)
            if most is not None:
                piece, most = piece[:most], most - len(piece[:most])
            if piece:
                yield piece
            if most == 0:
                return
    finally:
        answer.close()
        http.close()
