"""What really happened on the network, for tests to hold the customer's books against."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agents.sandbox.account import now_ms
from agents.sandbox.phone_call import PhoneCall

BODIES_KEPT = 3000
"""Delivered bodies are kept whole for the newest attempts only; hashes and answers for all."""


@dataclass(slots=True, kw_only=True)
class CreateRequest:
    """One request for a call, refused ones included."""

    at_ms: int
    status: int
    outcome: str
    """accepted, replayed, or why it was refused."""
    call_id: str
    call_uuid: str
    """The customer's own id, from the request's metadata."""
    to_number: str
    idempotency_key: str
    body_sha256: str
    undocumented_fields: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One attempt to deliver one webhook. `status` 0: no answer, `error` says why."""

    at_ms: int
    call_id: str
    event: str
    url: str
    attempt: int
    status: int
    error: str
    elapsed_ms: int
    signature: str
    body_sha256: str
    body: str | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """An event that a fault took before anything was sent."""

    at_ms: int
    call_id: str
    event: str


class Ledger:
    """Thread-safe. Grows with the run; `clear` empties it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._creates: list[CreateRequest] = []
        self._deliveries: list[Delivery] = []
        self._with_body: deque[Delivery] = deque()
        self._dropped: list[Dropped] = []

    def clear(self) -> None:
        with self._lock:
            self._creates.clear()
            self._deliveries.clear()
            self._with_body.clear()
            self._dropped.clear()

    def created(
        self,
        *,
        status: int,
        outcome: str,
        call_id: str = "",
        call_uuid: str = "",
        to_number: str = "",
        idempotency_key: str = "",
        body: bytes,
        undocumented_fields: Iterable[str] = (),
    ) -> None:
        request = CreateRequest(
            at_ms=now_ms(),
            status=status,
            outcome=outcome,
            call_id=call_id,
            call_uuid=call_uuid,
            to_number=to_number,
            idempotency_key=idempotency_key,
            body_sha256=hashlib.sha256(body).hexdigest(),
            undocumented_fields=sorted(undocumented_fields),
        )
        with self._lock:
            self._creates.append(request)

    def delivered(self, delivery: Delivery) -> None:
        with self._lock:
            self._deliveries.append(delivery)
            self._with_body.append(delivery)
            if len(self._with_body) > BODIES_KEPT:
                self._with_body.popleft().body = None

    def dropped(self, call_id: str, event: str) -> None:
        with self._lock:
            self._dropped.append(Dropped(now_ms(), call_id, event))

    def summary(self, calls: Iterable[PhoneCall]) -> dict[str, Any]:
        """Counts; what must never be: one request placed twice, one telephone rung by two calls at once."""
        known = list(calls)
        with self._lock:
            creates, deliveries, dropped = list(self._creates), list(self._deliveries), len(self._dropped)
        outbound = [call for call in known if call.direction == "outbound"]
        return {
            "calls": len(known),
            "outbound": len(outbound),
            "inbound": len(known) - len(outbound),
            "open": sum(not call.over for call in known),
            "connected": sum(call.connected for call in known),
            "rings": sum(call.rang_ms is not None for call in outbound),
            "reasons": dict(Counter(call.reason for call in known if call.over)),
            "kinds": dict(Counter(call.behaviour.kind for call in known if call.behaviour)),
            "creates": dict(Counter(f"{request.status} {request.outcome}" for request in creates)),
            "webhooks": {
                "attempts": len(deliveries),
                "accepted": sum(200 <= delivery.status < 300 for delivery in deliveries),
                "dropped": dropped,
                "by_event": dict(Counter(delivery.event for delivery in deliveries)),
                "by_status": dict(Counter(str(delivery.status) for delivery in deliveries)),
            },
            "placed_twice": placed_twice(outbound),
            "rung_at_once": rung_at_once(outbound),
        }

    def creates(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(request) for request in self._creates]

    def deliveries(self, call_id: str) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(delivery) for delivery in self._deliveries if delivery.call_id == call_id]

    def dropped_of(self, call_id: str) -> list[str]:
        with self._lock:
            return [dropped.event for dropped in self._dropped if dropped.call_id == call_id]

    def page(self, book: str, *, after: int, limit: int) -> dict[str, Any]:
        """Part of `creates`, `webhooks` or `dropped`, in the order written. Raises KeyError."""
        with self._lock:
            books: dict[str, Sequence[CreateRequest | Delivery | Dropped]] = {
                "creates": self._creates,
                "webhooks": self._deliveries,
                "dropped": self._dropped,
            }
            items, total = list(books[book][after : after + limit]), len(books[book])
        return sheet([short(item) for item in items], after=after, total=total)


def short(item: CreateRequest | Delivery | Dropped) -> dict[str, Any]:
    """Without the body of a webhook: `GET /control/ledger/<call_id>` has it."""
    return {name: value for name, value in asdict(item).items() if name != "body"}


def sheet(items: list[dict[str, Any]], *, after: int, total: int) -> dict[str, Any]:
    """One page; `next` is the `after` of the following one, None on the last."""
    to = after + len(items)
    return {"items": items, "next": to if items and to < total else None, "total": total}


def placed_twice(outbound: Iterable[PhoneCall]) -> dict[str, list[str]]:
    """The customer's own id (`metadata.call_uuid`) -> calls, where one request made more than one."""
    by_id: defaultdict[str, list[str]] = defaultdict(list)
    for call in outbound:
        own_id = (call.metadata or {}).get("call_uuid")
        if own_id:
            by_id[str(own_id)].append(call.id)
    return {own_id: ids for own_id, ids in by_id.items() if len(ids) > 1}


def rung_at_once(outbound: Iterable[PhoneCall]) -> dict[str, list[str]]:
    """Number -> calls that were open to it at the same time."""
    by_number: defaultdict[str, list[PhoneCall]] = defaultdict(list)
    for call in outbound:
        by_number[call.to_number].append(call)
    found: dict[str, list[str]] = {}
    for number, calls in by_number.items():
        calls.sort(key=lambda call: call.created_ms)
        busy_until, last = -1, ""
        for call in calls:
            if call.created_ms < busy_until:
                found.setdefault(number, [last]).append(call.id)
            end_ms = call.ended_ms if call.ended_ms is not None else now_ms() + 1
            if end_ms > busy_until:
                busy_until, last = end_ms, call.id
    return found


def entry(call: PhoneCall) -> dict[str, Any]:
    """One call in the network's own words; the contract adds its body."""
    return {
        "call_id": call.id,
        "direction": call.direction,
        "from_number": call.from_number,
        "to_number": call.to_number,
        "call_uuid": (call.metadata or {}).get("call_uuid"),
        "agent_id": call.agent.get("agent_id"),
        "kind": call.behaviour.kind if call.behaviour else None,
        "script": call.behaviour.script if call.behaviour else None,
        "attempt": call.attempt,
        "stage": str(call.stage),
        "connected": call.connected,
        "disconnection_reason": call.reason,
        "created_ms": call.created_ms,
        "rang_ms": call.rang_ms,
        "answered_ms": call.answered_ms,
        "ended_ms": call.ended_ms,
        "duration_ms": call.duration_ms() if call.over else None,
        "analysed": call.analysed,
        "live": call.live is not None,
        "changed_variables": call.changed_variables,
        "injected": [text for text, _at_s in call.injected],
        "stops": [{"utterance_id": said, "running": running} for said, running in call.stops],
    }
