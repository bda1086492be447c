"""Recordings come through our own door: permitted, whole or in part, never by a link of somebody else's."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx
import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from agents.providers.abilities import TODAYS
from agents.providers.base import CallFacts, NotFound, NotSent, PlaceOrder, Report, Stage
from agents.providers.registry import get_provider
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox
from calls import recordings
from calls.models import Call
from calls.recordings import RecordingGone, RecordingUnavailable, open_recording
from tests.factories import make_call, make_lead

pytestmark = pytest.mark.django_db

INTERESTED = "+12125550101"
SOUND = bytes(range(256)) * 1000
URL = "https://storage.example.com/rec.mp3?Signature=secret"


class PhoneCompany:
    """Knows one thing of a call: where its recording is."""

    abilities = TODAYS

    def recording_headers(self) -> dict[str, str]:
        return {}

    def __init__(self, answer: str | Exception | None = URL) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def fetch_call(self, provider_call_id: str) -> Report:
        self.asked.append(provider_call_id)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Report(
            body=b"{}", facts=CallFacts(provider_call_id="x", stage=Stage.ENDED, recording_url=self.answer)
        )


def storage(*, ranges: bool = True, status: int = 200, content_type: str = "audio/mpeg") -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        assert "Authorization" not in request.headers
        headers = {"Content-Type": content_type}
        asked = request.headers.get("Range")
        if status != 200:
            return httpx.Response(status, text="<Error/>", headers=headers)
        if not (ranges and asked):
            return httpx.Response(200, content=SOUND, headers=headers)
        first, _dash, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), int(last) if last else len(SOUND) - 1
        if start >= len(SOUND):
            return httpx.Response(416, headers={"Content-Range": f"bytes */{len(SOUND)}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{len(SOUND)}"
        return httpx.Response(206, content=SOUND[start : end + 1], headers=headers)

    return httpx.Client(transport=httpx.MockTransport(answer))


def opened(
    byte_range: str = "", *, call: Call | None = None, **options: Any
) -> tuple[recordings.Recording, bytes]:
    answer = options.pop("answer", URL)
    sound = open_recording(
        call or make_call("ended"),
        byte_range=byte_range,
        provider=PhoneCompany(answer),  # type: ignore[arg-type]
        client=storage(**options),
    )
    return sound, b"".join(sound.chunks)


@pytest.mark.parametrize("ranges", [True, False], ids=["storage-knows-ranges", "storage-does-not"])
class TestRanges:
    def test_without_a_range_it_comes_whole(self, ranges: bool) -> None:
        sound, body = opened(ranges=ranges)
        assert (sound.status, sound.length, sound.content_type) == (200, len(SOUND), "audio/mpeg")
        assert body == SOUND

    @pytest.mark.parametrize(
        ("asked", "first", "last"),
        [
            ("bytes=0-", 0, len(SOUND) - 1),
            ("bytes=100-199", 100, 199),
            ("bytes=70000-140000", 70_000, 140_000),
        ],
    )
    def test_a_part_comes_as_that_part(self, ranges: bool, asked: str, first: int, last: int) -> None:
        sound, body = opened(asked, ranges=ranges)
        assert sound.status == 206
        assert sound.content_range == f"bytes {first}-{last}/{len(SOUND)}"
        assert sound.length == last - first + 1
        assert body == SOUND[first : last + 1]

    def test_a_part_past_the_end_is_416(self, ranges: bool) -> None:
        sound, body = opened("bytes=999999-", ranges=ranges)
        assert (sound.status, sound.content_range, body) == (416, f"bytes */{len(SOUND)}", b"")


def test_the_last_bytes_can_be_asked_for() -> None:
    sound, body = opened("bytes=-10", ranges=False)
    assert (sound.status, body) == (206, SOUND[-10:])


@pytest.mark.parametrize("nonsense", ["bytes=", "bytes=-", "items=0-1", "bytes=0-1,5-9", "bytes=a-b"])
def test_a_range_nobody_can_read_is_ignored(nonsense: str) -> None:
    assert opened(nonsense)[0].status == 200


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (None, RecordingGone),
        (NotFound("gone"), RecordingGone),
        (NotSent("no route"), RecordingUnavailable),
        ("file:///etc/passwd", RecordingGone),
        ("http://127.0.0.1:5432/", RecordingGone),
    ],
)
def test_what_is_not_there_is_said(answer: Any, raised: type[Exception], settings: LazySettings) -> None:
    settings.RETELL_BASE_URL = "https://api.retellai.com"
    with pytest.raises(raised):
        opened(answer=answer)


@pytest.mark.parametrize(
    ("status", "raised"), [(403, RecordingGone), (404, RecordingGone), (503, RecordingUnavailable)]
)
def test_a_storage_that_refuses_is_gone_and_one_that_fails_is_not(
    status: int, raised: type[Exception]
) -> None:
    with pytest.raises(raised):
        opened(status=status)


def test_a_call_that_never_left_has_none() -> None:
    with pytest.raises(RecordingGone):
        opened(call=make_call("queued"))


def test_nothing_but_sound_is_ever_served() -> None:
    assert opened(content_type="text/html")[0].content_type == "audio/mpeg"


def spoken_call(sandbox: Sandbox) -> str:
    """The provider's id of a conversation that took place on the sandbox."""
    provider = get_provider()
    body = provider.placement(
        PlaceOrder(
            call_uuid=str(uuid.uuid4()),
            to_number=INTERESTED,
            from_number=NUMBERS[0],
            provider_agent_id="agent_sandbox_ava",
            agent_version=None,
            variables={"first_name": "Mia"},
            metadata={},
        )
    )
    placed = provider.place(body, give_up_s=5, started=time.monotonic()).provider_call_id
    for _try in range(200):
        if provider.fetch_call(placed).facts.recording_url:
            return placed
        time.sleep(0.05)
    raise AssertionError("nobody talked")


def door(client: Client, call: Call, **headers: str) -> Any:
    return client.get(f"/admin/calls/call/{call.pk}/recording", headers=headers)


def test_the_door_says_404_in_words_when_the_phone_company_does_not_know_the_call(
    sales: User, client: Client, sandbox: Any
) -> None:
    client.force_login(sales)
    answer = door(client, make_call("ended"))
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/plain")
    assert "no longer knows this call" in answer.content.decode()


def test_the_door_says_503_when_nobody_can_be_asked(
    sales: User, client: Client, settings: LazySettings
) -> None:
    settings.RETELL_BASE_URL = "http://127.0.0.1:9"
    client.force_login(sales)
    assert door(client, make_call("ended")).status_code == 503


def test_the_door_is_shut_to_who_may_not_see_the_call(sales: User, manager: User, client: Client) -> None:
    call = make_call("ended", lead=make_lead(owner=manager))
    client.force_login(sales)
    assert door(client, call).status_code == 404
    client.logout()
    assert door(client, call).status_code == 302


def test_the_sound_of_a_call_comes_through_the_door_and_its_link_does_not(
    sales: User, client: Client, start_sandbox: Any
) -> None:
    sandbox = start_sandbox(speed=300.0)
    ended = spoken_call(sandbox)
    call = make_call("ended", provider_call_id=ended)
    client.force_login(sales)
    answer = door(client, call, range="bytes=0-99")
    assert answer.status_code == 206
    assert answer["Content-Type"] == "audio/mpeg"
    assert answer["Accept-Ranges"] == "bytes"
    assert "no-store" in answer["Cache-Control"]
    assert len(b"".join(answer.streaming_content)) == 100
    whole = door(client, call)
    assert whole.status_code == 200
    assert len(b"".join(whole.streaming_content)) == int(whole["Content-Length"]) > 10_000
    assert "Location" not in whole
