"""What Twilio posts: signed forms, tried again as the fragment of their address asks."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode

from agents.sandbox.account import now_ms
from agents.sandbox.faults import Fault, Faults
from agents.sandbox.ledger import Delivery, Ledger
from agents.sandbox.posting import Answer, Poster, PostFailed
from agents.sandbox.scheduler import Scheduler

SIGNATURE = "X-Twilio-Signature"
TOKEN = "I-Twilio-Idempotency-Token"  # noqa: S105  its name
WORKERS = 8
TIMEOUT_S = 15.0
OVERTAKEN_S = 0.4
"""How late a reordered callback is, in real seconds."""
FORM = "application/x-www-form-urlencoded"


def sign(url: str, fields: Mapping[str, str], token: str) -> str:
    """The address, then each field's name and value by name; HMAC-SHA1, Base64."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class Callbacks:
    """Thread-safe. `token` signs; it can be changed while running, as a customer rotates it."""

    def __init__(self, *, token: str, ledger: Ledger, faults: Faults, scheduler: Scheduler) -> None:
        self.token = token
        self._ledger, self._faults, self._scheduler = ledger, faults, scheduler
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="sandbox-twilio")
        self._poster = Poster()
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()
        self._poster.give_up()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._poster.close()

    def tell(self, sid: str, event: str, url: str, fields: Mapping[str, str]) -> None:
        """Later, whatever is answered. Faults of webhooks strike it, with `event` as its name."""

        def strikes(fault: str) -> Fault | None:
            return self._faults.take(fault, event=event, key=fields.get("To", ""))

        if not url or self._stopped.is_set():
            return
        if strikes("webhook_drop"):
            self._ledger.dropped(sid, event)
            return
        token = str(uuid.uuid4())

        def send() -> None:
            with contextlib.suppress(RuntimeError):  # the pool was shut down meanwhile
                self._pool.submit(self._tries, sid, event, url, fields, token)

        if delay := strikes("webhook_delay"):
            self._scheduler.after_wall(delay.seconds, send)
        elif strikes("webhook_reorder"):
            self._scheduler.after_wall(OVERTAKEN_S, send)
        else:
            send()
        if strikes("webhook_double"):
            self._scheduler.after_wall(OVERTAKEN_S / 2, send)

    def ask(self, sid: str, url: str, fields: Mapping[str, str]) -> Answer | None:
        """Now, for TwiML. None: no answer, after every try that the address asks for."""
        return self._tries(sid, "twiml", url, fields, str(uuid.uuid4()))

    def _tries(self, sid: str, event: str, url: str, fields: Mapping[str, str], token: str) -> Answer | None:
        """By default once more, and only when nobody could be connected to."""
        plain, _hash, fragment = url.partition("#")
        asked = parse_qs(fragment)
        again = min(int(asked.get("rc", ["1"])[0]), 5)
        when = set(asked.get("rp", ["ct"])[0].split(","))
        response: Answer | None = None
        for attempt in range(1, again + 2):
            response = self._post(sid, event, plain, fields, token, attempt)
            if response is None:
                passing = {"ct", "rt", "all"} & when
            elif response.status >= 500:
                passing = {"5xx", "all"} & when
            elif response.status >= 400:
                passing = {"4xx", "all"} & when
            else:
                return response
            if not passing or self._stopped.is_set():
                return response
        return response

    def _post(
        self, sid: str, event: str, url: str, fields: Mapping[str, str], token: str, attempt: int
    ) -> Answer | None:
        body = urlencode(fields)
        wrong = self._faults.take("webhook_bad_signature", event=event, key=fields.get("To", ""))
        signature = sign(url, fields, "token_of_somebody_else" if wrong else self.token)
        headers = {
            "Content-Type": FORM + "; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            SIGNATURE: signature,
            TOKEN: token,
        }
        started, at_ms = time.monotonic(), now_ms()
        response, error = None, ""
        try:
            response = self._poster.post(url, body.encode(), headers, timeout_s=TIMEOUT_S)
        except PostFailed as problem:
            error = str(problem)
        self._ledger.delivered(
            Delivery(
                at_ms=at_ms,
                call_id=sid,
                event=event,
                url=url,
                attempt=attempt,
                status=response.status if response is not None else 0,
                error=error,
                elapsed_ms=round((time.monotonic() - started) * 1000),
                signature=signature,
                body_sha256=hashlib.sha256(body.encode()).hexdigest(),
                body=body,
            )
        )
        return response
