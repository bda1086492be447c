"""While the database writes nothing, webhooks leave threads of a web process to those who ask something."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import httpx
import pytest
from django.db import connection, transaction

from callcenter.demo.home import free_port
from calls.models import WebhookEvent
from tests import factories
from tests.conftest import API_KEY
from tests.database import database_url
from tests.test_webhook_door import signed
from tests.webhook_receiver import eventually

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parent.parent
THREADS = 8
AT_ONCE = 40
SENT = 200


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Where one web process of `make web` answers, on the database of this test."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "SECRET_KEY": "only-for-this-test-0123456789",
        "ALLOWED_HOSTS": "127.0.0.1",
        "PUBLIC_BASE_URL": "http://127.0.0.1",
        "RETELL_API_KEY": API_KEY,
        "RETELL_WEBHOOK_KEY": "",
        "RETELL_CONTRACT": "",
        "DJANGO_SETTINGS_MODULE": "callcenter.settings",
    }
    granian = [str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--no-ws"]
    size = ["--workers", "1", "--blocking-threads", str(THREADS)]
    with (tmp_path / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [*granian, "--host", "127.0.0.1", "--port", str(port), *size, "callcenter.wsgi:application"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(answers, within_s=60)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def deliver(url: str, what: dict[str, object], *, path: str = "/webhook/retell") -> int:
    """The status. Not httpx, whose every client takes longer to make than an answer may."""
    body = json.dumps(what).encode()
    connected = HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connected.request("POST", path, body, {"x-retell-signature": signed(body)})
        return connected.getresponse().status
    finally:
        connected.close()


def hold_the_writer(held: Event, let_go: Event) -> None:
    """Nobody commits a webhook until told."""
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                    cursor.execute("LOCK TABLE calls_webhookevent, calls_livetranscript IN EXCLUSIVE MODE")
            held.set()
            let_go.wait(60)
    finally:
        connection.close()


def ended(number: int) -> dict[str, object]:
    return {"event": "call_ended", "call": {"call_id": f"call_{number}"}}


def said(number: int) -> dict[str, object]:
    turns = [{"role": "user", "content": "Hello", "words": []}]
    return {
        "event": "transcript_updated",
        "call": {"call_id": f"call_{number}", "transcript_with_tool_calls": turns},
    }


def test_who_is_calling_is_answered_within_a_second_while_many_webhooks_cannot_be_kept(web: str) -> None:
    ours = factories.make_number()
    question = {
        "event": "call_inbound",
        "call_inbound": {"from_number": "+14155550151", "to_number": ours.number, "call_id": "call_in"},
    }
    held, let_go = Event(), Event()
    took: list[float] = []
    with ThreadPoolExecutor(AT_ONCE + 1) as pool:
        holding = pool.submit(hold_the_writer, held, let_go)
        try:
            assert held.wait(10)

            def all_of(make: Callable[[int], dict[str, object]]) -> list[Future[int]]:
                return [pool.submit(deliver, web, make(number)) for number in range(SENT)]

            sent, live = all_of(ended), all_of(said)
            time.sleep(0.5)
            for _nth in range(5):
                started = time.monotonic()
                assert deliver(web, question, path="/webhook/retell/inbound") == 200
                took.append(time.monotonic() - started)
        finally:
            let_go.set()
        statuses = Counter(answer.result() for answer in sent)
        assert {answer.result() for answer in live} == {200}
        holding.result()
    assert max(took) < 1.5, took
    assert set(statuses) <= {200, 503}
    assert statuses[503] > SENT / 2
    assert WebhookEvent.objects.count() >= statuses[200]
    assert deliver(web, ended(SENT)) == 200
