"""The sandbox's own doors: faults, settings, calls coming in, the ledger. No key, JSON, loopback only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from agents.sandbox import faults as known_faults
from agents.sandbox.article import ENVELOPES
from agents.sandbox.ledger import entry, sheet
from agents.sandbox.network import NoSuchCall, NotPossible
from agents.sandbox.phone_call import WITHHELD
from agents.sandbox.retell_answers import ApiError, answer
from agents.sandbox.retell_call import call_object
from agents.sandbox.retell_requests import E164, read_json

if TYPE_CHECKING:
    from agents.sandbox.server import Sandbox


PAGE = 1000
LARGEST_PAGE = 5000
MOST_INTERRUPTIONS = 10


class Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._box = sandbox
        self._settings: Mapping[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
            "speed": (lambda: sandbox.network.scheduler.speed, self._set_speed),
            "capacity": (lambda: sandbox.retell.capacity, self._setter("capacity", int, least=0)),
            "reserved_inbound": (
                lambda: sandbox.retell.reserved_inbound,
                self._setter("reserved_inbound", int, least=0),
            ),
            "full_answers_429": (
                lambda: sandbox.retell.full_answers_429,
                self._setter("full_answers_429", bool),
            ),
            "list_lag_s": (lambda: sandbox.retell.list_lag_s, self._setter("list_lag_s", float, least=0)),
            "pace": (lambda: sandbox.retell.pace.per_second, self._set_pace),
            "idempotency_window_s": (lambda: sandbox.retell.keys.window_s, self._set_window),
            "webhook_url": (lambda: sandbox.retell.webhook_url, self._set_webhook_url),
            "webhook_secret": (lambda: sandbox.article.signer.key, self._set_webhook_secret),
            "article_envelope": (lambda: sandbox.article.envelope, self._set_envelope),
            "article_interrupts": (
                lambda: sandbox.article.interrupting.share,
                lambda value: self._set_interrupting(share=float(value)),
            ),
            "article_interrupts_times": (
                lambda: sandbox.article.interrupting.times,
                lambda value: self._set_interrupting(times=int(value)),
            ),
            "rings_in_under": (lambda: sandbox.network.rings_in_under, self._set_rings_in_under),
            "webhook_key": (lambda: sandbox.courier.key, self._set_webhook_key),
            "signed_url_s": (lambda: sandbox.recordings.signed_url_s, self._set_signed_url),
            "analysis_s": (lambda: sandbox.network.analysis_s, self._set_analysis),
            "rings_back": (lambda: sandbox.network.rings_back, self._set_rings_back),
            "trunk_pace": (lambda: sandbox.twilio.carriage.pace.per_second, self._set_trunk_pace),
            "closed_countries": (
                lambda: sorted(sandbox.twilio.carriage.closed_countries),
                self._set_closed_countries,
            ),
            "twilio_pace": (lambda: sandbox.twilio.exchange.per_second, self._set_twilio_pace),
            "twilio_capacity": (lambda: sandbox.twilio.capacity, self._set_twilio_capacity),
            "people_stay": (lambda: sandbox.twilio.exchange.people_stay, self._set_people_stay),
            "twilio_token": (lambda: sandbox.twilio.token, lambda value: sandbox.twilio.rotate(str(value))),
            "hold_all": (lambda: sandbox.network.hold_all, self._set_hold_all),
        }

    def rules(self) -> Sequence[Rule]:
        def rule(method: str, path: str, endpoint: Callable[..., Response]) -> Rule:
            return Rule("/control" + path, methods=[method], endpoint=endpoint)

        return [
            rule("GET", "/", self.state),
            rule("POST", "/faults", self.set_faults),
            rule("POST", "/settings", self.set_settings),
            rule("POST", "/hold", self.hold),
            rule("POST", "/inbound", self.inbound),
            rule("POST", "/forget-idempotency-keys", self.forget_keys),
            rule("POST", "/reset", self.reset),
            rule("GET", "/ledger", self.ledger),
            rule("GET", "/ledger/summary", self.summary),
            rule("GET", "/ledger/calls", self.calls),
            rule("GET", "/ledger/<any(creates, webhooks, dropped):book>", self.book),
            rule("GET", "/ledger/<call_id>", self.ledger_of),
        ]

    def serve(
        self, request: Request, endpoint: Callable[..., Response], values: Mapping[str, Any]
    ) -> Response:
        try:
            return endpoint(request, **values)
        except (known_faults.UnknownFault, NotPossible) as problem:
            return ApiError(400, str(problem)).response()
        except NoSuchCall as missing:
            return ApiError(404, f"No such call: {missing}").response()
        except ApiError as refusal:
            return refusal.response()

    def state(self, request: Request) -> Response:
        return answer(
            {
                "settings": {name: read() for name, (read, _) in self._settings.items()},
                "faults": self._box.faults.state(),
                "known_faults": known_faults.NAMES,
                "held_numbers": sorted(self._box.network.held_numbers),
                "seed": self._box.network.seed,
            }
        )

    def set_faults(self, request: Request) -> Response:
        """{"<fault>": {"probability" | "next", "seconds", "event"} or null}; {} takes all away."""
        found = read_json(request.get_data())
        for name, setting in (found or dict.fromkeys(known_faults.NAMES)).items():
            if setting is not None and not isinstance(setting, dict):
                raise ApiError(400, f"the setting of {name} must be an object or null")
            self._box.faults.set(name, setting)
        return answer({"faults": self._box.faults.state()})

    def set_settings(self, request: Request) -> Response:
        found = read_json(request.get_data())
        for name, value in found.items():
            if name not in self._settings:
                raise ApiError(400, f"There is no setting {name}. Known: {', '.join(self._settings)}.")
            try:
                self._settings[name][1](value)
            except (TypeError, ValueError) as error:
                raise ApiError(400, f"{name}: {error}") from error
        return answer({"settings": {name: read() for name, (read, _) in self._settings.items()}})

    def hold(self, request: Request) -> Response:
        """{"number": "+1...", "on": true}: calls to it ring until somebody on the customer page picks up."""
        found = read_json(request.get_data())
        self._box.network.hold(self._number(found, "number"), bool(found.get("on", True)))
        return answer({"held_numbers": sorted(self._box.network.held_numbers)})

    def inbound(self, request: Request) -> Response:
        """{"from_number", "to_number", "talk": false}: somebody rings one of our numbers.

        `from_number` may be "anonymous": withheld.
        """
        found = read_json(request.get_data())
        call = self._box.network.ring_in(
            from_number=WITHHELD
            if found.get("from_number") == WITHHELD
            else self._number(found, "from_number"),
            to_number=self._number(found, "to_number"),
            held=bool(found.get("talk", False)),
        )
        return answer({"call_id": call.id}, 201)

    def forget_keys(self, request: Request) -> Response:
        return answer({"forgotten": self._box.retell.keys.forget()})

    def reset(self, request: Request) -> Response:
        """{"seed"?}: calls, ledger, keys and faults are gone; settings and agents stay."""
        seed = read_json(request.get_data()).get("seed")
        if seed is not None and not isinstance(seed, int):
            raise ApiError(400, "seed must be a number")
        self._box.reset(seed)
        return answer({"seed": self._box.network.seed})

    def ledger(self, request: Request) -> Response:
        """All of it: for some thousand calls. Above that, page by page."""
        with self._box.network.lock:
            calls = self._box.network.calls_from(0)
            entries, summary = [entry(call) for call in calls], self._box.ledger_book.summary(calls)
        return answer({"summary": summary, "calls": entries, "creates": self._box.ledger_book.creates()})

    def summary(self, request: Request) -> Response:
        with self._box.network.lock:
            return answer(self._box.ledger_book.summary(self._box.network.calls_from(0)))

    def calls(self, request: Request) -> Response:
        """`after` and `limit`: calls out and in, in the order they came about."""
        after, limit = self._part(request)
        with self._box.network.lock:
            entries = [entry(call) for call in self._box.network.calls_from(after, limit)]
            total = len(self._box.network.calls)
        return answer(sheet(entries, after=after, total=total))

    def book(self, request: Request, book: str) -> Response:
        after, limit = self._part(request)
        return answer(self._box.ledger_book.page(book, after=after, limit=limit))

    def _part(self, request: Request) -> tuple[int, int]:
        try:
            after, limit = int(request.args.get("after", 0)), int(request.args.get("limit", PAGE))
        except ValueError as error:
            raise ApiError(400, "after and limit must be numbers") from error
        if after < 0 or not 1 <= limit <= LARGEST_PAGE:
            raise ApiError(400, f"after must be at least 0, limit between 1 and {LARGEST_PAGE}")
        return after, limit

    def ledger_of(self, request: Request, call_id: str) -> Response:
        network = self._box.network
        with network.lock:
            call = network.call(call_id)
            found = entry(call)
            found["retell"] = call_object(call, self._box.recordings.url_of) if call.agent else None
        found["webhooks"] = self._box.ledger_book.deliveries(call_id)
        found["webhooks_dropped"] = self._box.ledger_book.dropped_of(call_id)
        found["creates"] = [item for item in self._box.ledger_book.creates() if item["call_id"] == call_id]
        return answer(found)

    def _number(self, found: Mapping[str, Any], name: str) -> str:
        value = found.get(name)
        if not isinstance(value, str) or not E164.match(value):
            raise ApiError(400, f"{name} must be in E.164 format")
        return value

    def _setter(
        self, name: str, kind: Callable[[Any], Any], *, least: float | None = None
    ) -> Callable[[Any], None]:
        def put(value: Any) -> None:
            read = kind(value)
            if least is not None and read < least:
                raise ValueError(f"must be at least {least}")
            setattr(self._box.retell, name, read)

        return put

    def _set_speed(self, value: Any) -> None:
        speed = float(value)
        if not 0.01 <= speed <= 10_000:
            raise ValueError("must be between 0.01 and 10000")
        self._box.network.scheduler.set_speed(speed)

    def _set_pace(self, value: Any) -> None:
        self._box.retell.pace.per_second = float(value)

    def _set_trunk_pace(self, value: Any) -> None:
        self._box.twilio.carriage.pace.per_second = float(value)

    def _set_closed_countries(self, value: Any) -> None:
        self._box.twilio.carriage.closed_countries = frozenset(str(each) for each in value)

    def _set_twilio_pace(self, value: Any) -> None:
        self._box.twilio.exchange.per_second = float(value)

    def _set_twilio_capacity(self, value: Any) -> None:
        self._box.twilio.capacity = int(value)

    def _set_people_stay(self, value: Any) -> None:
        self._box.twilio.exchange.people_stay = bool(value)

    def _set_window(self, value: Any) -> None:
        self._box.retell.keys.window_s = float(value)

    def _set_webhook_url(self, value: Any) -> None:
        if value is not None and not str(value).startswith(("http://", "https://")):
            raise ValueError("must be a URL")
        self._box.retell.webhook_url = str(value) if value else None

    def _set_webhook_key(self, value: Any) -> None:
        self._box.courier.key = str(value)

    def _set_webhook_secret(self, value: Any) -> None:
        self._box.article.signer.key = str(value)

    def _set_envelope(self, value: Any) -> None:
        if value not in ENVELOPES:
            raise ValueError(f"must be among {', '.join(ENVELOPES)}")
        self._box.article.envelope = value

    def _set_interrupting(self, **change: Any) -> None:
        how = replace(self._box.article.interrupting, **change)
        if not 0 <= how.share <= 1 or not 1 <= how.times <= MOST_INTERRUPTIONS:
            raise ValueError(f"a share of 0 to 1, 1 to {MOST_INTERRUPTIONS} times")
        self._box.article.interrupting = how

    def _set_rings_in_under(self, value: Any) -> None:
        if value not in ("current", "article"):
            raise ValueError("must be current or article")
        self._box.network.rings_in_under = value

    def _set_signed_url(self, value: Any) -> None:
        self._box.recordings.signed_url_s = float(value)

    def _set_analysis(self, value: Any) -> None:
        self._box.network.analysis_s = float(value)

    def _set_rings_back(self, value: Any) -> None:
        self._box.network.rings_back = bool(value)

    def _set_hold_all(self, value: Any) -> None:
        self._box.network.hold_all = bool(value)
