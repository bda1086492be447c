"""Retell's contract of today: its endpoints, its webhooks, its question who answers a call coming in.

Where Retell's documents are silent the sandbox decides so: a replayed idempotency key answers 201 with the
call as it is now; the same key with another body 400; over the pace or the concurrency limit 429 (or, by
setting, a call that ends with `concurrency_limit_reached`); a call that is over cannot be stopped, 400.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from agents.sandbox import retell_requests as requests
from agents.sandbox.account import Account, NoSuchThing, now_ms
from agents.sandbox.faults import Faults
from agents.sandbox.ledger import Ledger
from agents.sandbox.limits import Carrier, CarrierIn, IdempotencyKeys, OtherRequest, Pace
from agents.sandbox.network import Network, NoSuchCall, NotPossible, new_call_id
from agents.sandbox.phone_call import Event, PhoneCall
from agents.sandbox.retell_account import AccountDesk
from agents.sandbox.retell_answers import ApiError, answer, paged, to_bytes, unknown_asset
from agents.sandbox.retell_call import (
    DEFAULT_EVENTS,
    EVENT_NAMES,
    RecordingUrl,
    basics,
    call_object,
    event_body,
)
from agents.sandbox.retell_filters import Tests, might_match, read_filters
from agents.sandbox.webhooks import Courier, Parcel

SIGNATURE_HEADER = "x-retell-signature"


class Disconnect(Exception):
    """The connection is to be closed without an answer."""


def sign(body: bytes, at_ms: int, key: str) -> str:
    """`v=<unix ms>,d=<HMAC-SHA256 of the body followed by the decimal ms>`."""
    digest = hmac.new(key.encode(), body + str(at_ms).encode(), hashlib.sha256).hexdigest()
    return f"v={at_ms},d={digest}"


class RetellContract:
    """Thread-safe. Registers itself with the network as what calls are told to."""

    def __init__(
        self,
        *,
        api_key: str,
        network: Network,
        account: Account,
        courier: Courier,
        ledger: Ledger,
        faults: Faults,
        recording_url: RecordingUrl,
        stopping: threading.Event,
    ) -> None:
        self.api_key = api_key
        self.network, self.account, self.courier = network, account, courier
        self.ledger, self.faults = ledger, faults
        self.webhook_url: str | None = None
        self.pace = Pace(0)
        self.keys = IdempotencyKeys()
        self.capacity = 20
        self.reserved_inbound = 0
        self.full_answers_429 = True
        self.list_lag_s = 0.0
        self.carrier: Carrier = lambda trunk, ours, whom: ""
        self.carrier_in: CarrierIn = lambda ours: ""
        self._recording_url = recording_url
        self._stopping = stopping
        self._creating = threading.Lock()
        self.desk = AccountDesk(account, faults)
        network.speaks(self)

    # HTTP

    def rules(self) -> Sequence[Rule]:
        """Paths exactly as Retell has them; a number stands raw in its path."""

        def rule(method: str, path: str, endpoint: Callable[..., Response]) -> Rule:
            return Rule(path, methods=[method], endpoint=endpoint)

        return [
            rule("POST", "/v2/create-phone-call", self.create_phone_call),
            rule("GET", "/v2/get-call/<call_id>", self.get_call),
            rule("POST", "/v3/list-calls", self.list_calls),
            rule("POST", "/v2/stop-call/<call_id>", self.stop_call),
            rule("PATCH", "/v2/update-live-call/<call_id>", self.update_live_call),
            rule("PATCH", "/v2/update-call/<call_id>", self.update_call),
            rule("GET", "/get-concurrency", self.get_concurrency),
            *self.desk.rules(),
        ]

    def serve(
        self, request: Request, endpoint: Callable[..., Response], values: Mapping[str, Any]
    ) -> Response:
        """One request through the door. Raises Disconnect."""
        creating = endpoint == self.create_phone_call
        try:
            self._admit(request, reads=not creating)
            return endpoint(request, **values)
        except (NoSuchThing, NoSuchCall) as missing:
            return unknown_asset(missing).response()
        except NotPossible as problem:
            return ApiError(400, str(problem)).response()
        except ApiError as refusal:
            if creating:
                self.book(refusal.status, refusal.why, request)
            return refusal.response()

    def _admit(self, request: Request, *, reads: bool) -> None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.api_key}".encode()):
            raise ApiError(401, "Invalid API Key", why="wrong key")
        if self.faults.take("answer_401"):
            raise ApiError(401, "Invalid API Key", why="fault")
        if not reads:
            return
        hang = self.faults.take("read_hang")
        if hang is not None:
            self._stopping.wait(hang.seconds)
        if self.faults.take("read_429"):
            raise ApiError(429, "Too many requests", headers={"Retry-After": "1"})
        if self.faults.take("read_500"):
            raise ApiError(500, "Internal server error")

    def book(self, status: int, outcome: str, request: Request, call_id: str = "") -> None:
        body = request.get_data()
        try:
            found = requests.read_json(body)
        except ApiError:
            found = {}
        self.ledger.created(
            status=status,
            outcome=outcome,
            call_id=call_id,
            call_uuid=requests.own_id(found.get("metadata")),
            to_number=str(found.get("to_number", "")),
            idempotency_key=str(found.get("idempotency_key", "")),
            body=body,
            undocumented_fields=set(found) - requests.CREATE_FIELDS,
        )

    # Calls

    def create_phone_call(self, request: Request) -> Response:
        body = request.get_data()
        whom = requests.number_in(body)
        if self.faults.take("create_429", key=whom):
            raise ApiError(429, "Account rate limited, please throttle your requests", why="fault")
        if self.faults.take("create_500_before", key=whom):
            raise ApiError(500, "Internal server error", why="fault")
        if self.faults.take("create_400", key=whom):
            raise ApiError(400, "The voice of this call is not available", why="fault")
        if self.faults.take("create_402", key=whom):
            raise ApiError(402, "No valid payment method or out of credit", why="fault")
        order = requests.read_create(body)
        with self._creating:
            call = self._same_call_again(order, body)
            replayed = call is not None
            if call is None:
                call = self._place(order, body)
        with self.network.lock:
            response = answer(call_object(call, self._recording_url), 201)
        return self.after_accepting(request, response, call, "replayed" if replayed else "accepted")

    def _same_call_again(self, order: requests.CreateOrder, body: bytes) -> PhoneCall | None:
        if not order.idempotency_key:
            return None
        try:
            call_id = self.keys.call_of(order.idempotency_key, body)
        except OtherRequest as other:
            raise ApiError(
                400, f"idempotency_key {other} was used for another request", why="key reused"
            ) from other
        return self.network.call(call_id) if call_id else None

    def _place(self, order: requests.CreateOrder, body: bytes) -> PhoneCall:
        line = self.account.line_of(order.from_number)
        if order.agent_id is not None:
            agent = self.account.agent(order.agent_id, order.agent_version)
        else:
            bound = self.account.bound_agent(order.from_number, "outbound")
            if bound is None:
                raise ApiError(400, "No outbound agent id set up for phone number", why="no agent")
            agent = bound
        if not self.pace.allows(line):
            raise ApiError(429, "Too many calls per second on this telephony provider", why="over pace")
        full = len(self.network.open_calls()) >= self.capacity - self.reserved_inbound
        if full and self.full_answers_429:
            raise ApiError(429, "Concurrency limit reached", why="over capacity")
        call = PhoneCall(
            id=new_call_id(),
            direction="outbound",
            from_number=order.from_number,
            to_number=order.to_number,
            created_ms=now_ms(),
            agent={**agent, **order.agent_override},
            metadata=order.metadata,
            given_variables=order.variables,
            variables=self.account.variables_for(agent, order.variables or {}),
            sip_headers=order.sip_headers,
        )
        call.storage = call.agent.get("data_storage_setting") or "everything"
        self.network.place(
            call, refused_with="concurrency_limit_reached" if full else self._refused_by_carrier(call)
        )
        if order.idempotency_key:
            self.keys.keep(order.idempotency_key, body, call.id)
        return call

    def _refused_by_carrier(self, call: PhoneCall) -> str:
        trunk = self.account.number(call.from_number).get("sip_outbound_trunk_config")
        return self.carrier(trunk, call.from_number, call.to_number) if trunk else ""

    def after_accepting(
        self, request: Request, response: Response, call: PhoneCall, outcome: str
    ) -> Response:
        """What can go wrong once the telephone rings; `response` when nothing does. Raises Disconnect."""
        whom = call.customer
        if self.faults.take("create_500_after", key=whom):
            self.book(500, outcome, request, call.id)
            return ApiError(500, "Internal server error").response()
        if self.faults.take("create_disconnect_after", key=whom):
            self.book(0, outcome, request, call.id)
            raise Disconnect
        hang = self.faults.take("create_hang_after", key=whom)
        if hang is not None:
            self.book(0, outcome, request, call.id)
            self._stopping.wait(hang.seconds)
            return response
        self.book(response.status_code, outcome, request, call.id)
        if self.faults.take("create_unreadable", key=whom):
            return Response(b"<html>upstream said something", status=201, content_type="text/html")
        return response

    def get_call(self, request: Request, call_id: str) -> Response:
        with self.network.lock:
            return answer(call_object(self._answered(call_id), self._recording_url))

    def _answered(self, call_id: str) -> PhoneCall:
        """A call an agent of ours took or made; the others Retell never shows."""
        call = self.network.call(call_id)
        if not call.agent:
            raise NoSuchCall(call_id)
        return call

    def list_calls(self, request: Request) -> Response:
        found = requests.read_json(request.get_data())
        part = requests.read_slice(found)
        early, late = read_filters(found.get("filter_criteria"))
        might = might_match(found.get("filter_criteria"))
        newest_ms = now_ms() - self.list_lag_s * 1000
        with self.network.lock:
            matching = [
                call
                for call in self.network.calls.values()
                if call.agent
                and call.created_ms <= newest_ms
                and might(call)
                and self._passes(call, early, late)
            ]
            matching.sort(key=lambda call: call.answered_ms or call.created_ms, reverse=not part.ascending)
            page = paged([{"call_id": call.id} for call in matching], part, key="call_id")
            page["items"] = [self._list_item(self.network.call(item["call_id"])) for item in page["items"]]
        if found.get("include_total"):
            page["total"] = len(matching)
        return answer(page)

    def _list_item(self, call: PhoneCall) -> dict[str, Any]:
        return call_object(call, self._recording_url, with_transcripts=False)

    def _passes(self, call: PhoneCall, early: Tests, late: Tests) -> bool:
        if early:
            first = basics(call)
            if not all(test(first) for test in early):
                return False
        if late:
            whole = self._list_item(call)
            return all(test(whole) for test in late)
        return True

    def stop_call(self, request: Request, call_id: str) -> Response:
        self._answered(call_id)
        self.network.hang_up_for_us(call_id)
        return Response(status=204)

    def update_live_call(self, request: Request, call_id: str) -> Response:
        found = requests.read_json(request.get_data())
        fields, control = found.get("fields_to_override") or {}, found.get("call_control") or {}
        if not isinstance(fields, dict) or not isinstance(control, dict):
            raise ApiError(400, "fields_to_override and call_control must be objects")
        metadata = requests.read_metadata(fields.get("metadata"))
        variables = requests.read_changed_strings(
            fields.get("override_dynamic_variables"), "override_dynamic_variables"
        )
        context = control.get("additional_context", "")
        if not isinstance(context, str) or ("additional_context" in control and not context):
            raise ApiError(400, "additional_context must be a non-empty string")
        with self.network.lock:
            call = self._answered(call_id)
            self.network.steer(call_id, context=context, answer_now=control.get("trigger_response") is True)
            if metadata is not None:
                call.metadata = metadata
            call.changed_variables |= variables
            call.variables = {
                **self.account.variables_for(call.agent, call.given_variables or {}),
                **{name: text for name, text in call.changed_variables.items() if text is not None},
            }
            self._tighten(call, fields.get("data_storage_setting"))
        return answer({"success": True})

    def update_call(self, request: Request, call_id: str) -> Response:
        found = requests.read_json(request.get_data())
        metadata = requests.read_metadata(found.get("metadata"))
        with self.network.lock:
            call = self._answered(call_id)
            if not call.over:
                raise NotPossible("Only an ended call can be updated.")
            if metadata is not None:
                call.metadata = metadata
            self._tighten(call, found.get("data_storage_setting"))
            return answer(call_object(call, self._recording_url))

    def _tighten(self, call: PhoneCall, setting: object) -> None:
        if setting is None:
            return
        if setting not in requests.STORAGE:
            raise ApiError(400, f"data_storage_setting must be among {', '.join(requests.STORAGE)}")
        if requests.STORAGE.index(str(setting)) < requests.STORAGE.index(call.storage):
            raise ApiError(400, "data_storage_setting may only become stricter")
        call.storage = str(setting)

    def get_concurrency(self, request: Request) -> Response:
        return answer(
            {
                "current_concurrency": len(self.network.open_calls()),
                "concurrency_limit": self.capacity,
                "base_concurrency": self.capacity,
                "purchased_concurrency": 0,
                "concurrency_purchase_limit": 100,
                "remaining_purchase_limit": 100,
                "concurrency_burst_enabled": False,
                "concurrency_burst_limit": 0,
                "reserved_inbound_concurrency": self.reserved_inbound,
            }
        )

    # What the network tells

    def tell(self, event: Event, call: PhoneCall) -> None:
        name = EVENT_NAMES[event]
        if event is Event.ENDED and call.connected:
            self.tell(Event.TURN, call)
        if name not in (call.agent.get("webhook_events") or DEFAULT_EVENTS):
            return
        url = call.agent.get("webhook_url") or self.webhook_url
        if not url:
            return
        body = to_bytes(event_body(event, call, self._recording_url))
        timeout_s = (call.agent.get("webhook_timeout_ms") or 10_000) / 1000
        self.courier.send(
            Parcel(call_id=call.id, event=name, url=url, body=body, timeout_s=timeout_s, key=key_of(call))
        )

    def ask_inbound(self, call: PhoneCall) -> None:
        """The number's inbound webhook may name the agent; without an answer the bound one takes the call."""
        try:
            number = self.account.number(call.to_number)
            bound = self.account.bound_agent(call.to_number, "inbound")
        except NoSuchThing:
            self.network.turn_away(call, "not our number")
            return
        if number.get("sip_outbound_trunk_config") and (why := self.carrier_in(call.to_number)):
            self.network.turn_away(call, why)
            return
        url = number.get("inbound_webhook_url")
        if not url:
            self._take_inbound(call, bound, {})
            return
        question: dict[str, Any] = {
            "call_id": call.id,
            "from_number": call.from_number,
            "to_number": call.to_number,
        }
        if bound is not None:
            question["agent_id"], question["agent_version"] = bound["agent_id"], bound["version"]
        self.courier.send(
            Parcel(
                call_id=call.id,
                event="call_inbound",
                url=url,
                body=to_bytes({"event": "call_inbound", "call_inbound": question}),
                timeout_s=10,
                key=key_of(call),
                answered=lambda response: self._take_inbound(
                    call, bound, requests.read_inbound_answer(response)
                ),
            )
        )

    def _take_inbound(self, call: PhoneCall, bound: dict[str, Any] | None, reply: dict[str, Any]) -> None:
        agent = bound
        if reply.get("reject") is True:
            self.network.turn_away(call, "rejected by the inbound webhook")
            return
        if reply.get("override_agent_id"):
            try:
                agent = self.account.agent(
                    str(reply["override_agent_id"]), reply.get("override_agent_version")
                )
            except NoSuchThing:
                agent = bound
        if agent is None:
            self.network.turn_away(call, "no inbound agent")
            return
        override = (reply.get("agent_override") or {}).get("agent") or {}
        given = reply.get("dynamic_variables")
        self.network.answer_inbound(
            call,
            agent={**agent, **override},
            given_variables=given,
            variables=self.account.variables_for(agent, given or {}),
            metadata=reply.get("metadata"),
        )


def key_of(call: PhoneCall) -> str:
    """What a call is in every run of a seed; its id is another each time."""
    return f"{call.direction}:{call.customer}:{call.attempt}"


__all__ = ["SIGNATURE_HEADER", "Disconnect", "RetellContract", "sign"]
