"""Retell's contract as `../article.txt` has it, on the same network: three endpoints, bare signatures.

Calls made here are told about in this contract's words; agents and numbers are the account's, so an
assistant is an agent. Where the text is silent the sandbox decides so: an assistant or a caller ID that the
account does not have is a 400; metadata and numbers are given back in every event; what the analysis found
stands beside the transcript in it; a call with another's metadata within five seconds is that other call;
an utterance that is no longer said is stopped with a 200 too.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from agents.sandbox import article_requests as requests
from agents.sandbox.account import NoSuchThing, assistant_as_agent, now_ms
from agents.sandbox.article_events import (
    Interrupting,
    Moment,
    body_of,
    live_body,
    moments,
    moments_of_typed,
    utterance_id,
)
from agents.sandbox.network import NoSuchCall, new_call_id
from agents.sandbox.phone_call import Event, PhoneCall
from agents.sandbox.retell import RetellContract, key_of
from agents.sandbox.retell_answers import ApiError, answer, to_bytes
from agents.sandbox.webhooks import Parcel, Signer

NAME = "article"
FIXED_SECRET = "secret_sandbox_0123456789abcdef"  # noqa: S105  for tests and demos
MERGES_S = 5.0
"""Two requests with the same metadata within so many real seconds make one call."""
WEBHOOK_TIMEOUT_S = 5.0
STOPS_AFTER_S = 0.15
"""From the request to silence: what is on its way to the telephone is still heard."""
ENVELOPES = ("mixed", "flat", "nested")


def sign(body: bytes, at_ms: int, key: str) -> str:
    """Bare hex HMAC-SHA256 of the body: when it was sent is no part of it."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Merging:
    """Which call was made with which metadata lately."""

    metadata: str
    call_id: str
    until: float


class ArticleContract:
    """Thread-safe. Shares pace, capacity, faults and books with today's contract on the same network."""

    def __init__(self, *, today: RetellContract, secret: str = FIXED_SECRET) -> None:
        self.signer = Signer(sign, secret)
        self.envelope = "mixed"
        self.interrupting = Interrupting()
        self._today = today
        self._network = today.network
        self._creating = threading.Lock()
        self._lately: list[Merging] = []
        self._told_turns: dict[str, int] = {}
        self._being_said: dict[str, int] = {}
        today.network.speaks(self, NAME)

    def forget(self) -> None:
        self._lately.clear()
        self._told_turns.clear()
        self._being_said.clear()

    # HTTP

    def rules(self) -> Sequence[Rule]:
        return [
            Rule("/v1/assistant", methods=["POST"], endpoint=self.create_assistant),
            Rule("/v1/call", methods=["POST"], endpoint=self.create_call),
            Rule("/v2/stop-utterance", methods=["POST"], endpoint=self.stop_utterance),
        ]

    def serve(
        self, request: Request, endpoint: Callable[..., Response], values: Mapping[str, Any]
    ) -> Response:
        """One request through the door. Raises Disconnect."""
        try:
            self._admit(request)
            response: Response = endpoint(request, **values)
        except ApiError as refusal:
            if endpoint == self.create_call:
                self._today.book(refusal.status, refusal.why, request)
            return requests.refusal(refusal)
        return response

    def _admit(self, request: Request) -> None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._today.api_key}".encode()):
            raise ApiError(401, "Invalid API key", why="wrong key")
        if self._today.faults.take("answer_401"):
            raise ApiError(401, "Invalid API key", why="fault")

    def create_assistant(self, request: Request) -> Response:
        body = requests.read_assistant(request.get_data())
        assistant_id = self._today.account.add_assistant(body)
        return answer({"assistant_id": assistant_id, **body}, 201)

    def create_call(self, request: Request) -> Response:
        body = request.get_data()
        whom = requests.number_in(body)
        faults = self._today.faults
        if faults.take("create_429", key=whom):
            raise ApiError(429, "Rate limit exceeded", why="fault")
        if faults.take("create_500_before", key=whom):
            raise ApiError(500, "Internal server error", why="fault")
        if faults.take("create_402", key=whom):
            raise ApiError(403, "Insufficient credits", why="fault")
        order = requests.read_call(body)
        with self._creating:
            call = self._merged(order)
            merged = call is not None
            if call is None:
                call = self._place(order)
        response = answer({"call_id": call.id, "status": "initiated"}, 201)
        return self._today.after_accepting(request, response, call, "merged" if merged else "accepted")

    def _merged(self, order: requests.CallOrder) -> PhoneCall | None:
        wanted, now = json.dumps(order.metadata, sort_keys=True), time.monotonic()
        self._lately = [kept for kept in self._lately if kept.until > now]
        same = next((kept for kept in self._lately if kept.metadata == wanted), None)
        return self._network.call(same.call_id) if same else None

    def _place(self, order: requests.CallOrder) -> PhoneCall:
        account = self._today.account
        try:
            line = account.line_of(order.from_number)
            agent = (
                assistant_as_agent("assistant_of_one_call", order.assistant)
                if order.assistant is not None
                else account.agent(order.assistant_id)
            )
        except NoSuchThing as missing:
            what = "assistant_id" if "agent" in str(missing) else "from_number"
            raise ApiError(400, f"{what} is not known: {missing}", why="unknown asset") from missing
        if not self._today.pace.allows(line):
            raise ApiError(429, "Rate limit exceeded", why="over pace")
        if len(self._network.open_calls()) >= self._today.capacity - self._today.reserved_inbound:
            raise ApiError(429, "Concurrency limit reached", why="over capacity")
        call = PhoneCall(
            id=new_call_id(),
            direction="outbound",
            from_number=order.from_number,
            to_number=order.to_number,
            created_ms=now_ms(),
            contract=NAME,
            agent=agent,
            metadata=order.metadata,
            given_variables=order.variables,
            variables=account.variables_for(agent, order.variables),
        )
        self._network.place(call)
        kept = json.dumps(order.metadata, sort_keys=True)
        self._lately.append(Merging(kept, call.id, time.monotonic() + MERGES_S))
        return call

    def stop_utterance(self, request: Request) -> Response:
        call_id, utterance = requests.read_stop(request.get_data())
        if self._today.faults.take("stop_utterance_500", key=call_id):
            raise ApiError(500, "Internal server error", why="fault")
        with self._network.lock:
            try:
                call = self._network.call(call_id)
            except NoSuchCall as missing:
                raise ApiError(404, f"No such call: {call_id}") from missing
            if call.over or not call.connected:
                raise ApiError(400, "The call is not ongoing")
            said = self._being_said.get(call_id)
            running = said is not None and utterance == utterance_id(call, said)
            call.stops.append((utterance, running))
            if running and said is not None:
                silent = Moment(0.0, "agent_stop_talking", said)
                at_s = self._network.elapsed_s(call) + STOPS_AFTER_S
                self._network.in_call(call, at_s, lambda: self._tell_moment(call, silent))
        return answer({"success": True})

    # What the network tells

    def tell(self, event: Event, call: PhoneCall) -> None:
        if event is Event.CONNECTED:
            self._send(call, "call_started", body_of(event, call, envelope=self.envelope))
            if call.live is None and call.conversation is not None:
                for moment in moments(call.conversation, self.interrupting):
                    self._plan(call, moment)
        elif event is Event.TURN and call.live is not None and not call.over:
            self._tell_typed(call)
        elif event in (Event.ENDED, Event.ANALYSED):
            if event is Event.ENDED:
                self._told_turns.pop(call.id, None)
                self._being_said.pop(call.id, None)
            name = "call_ended" if event is Event.ENDED else "call_analyzed"
            self._send(call, name, body_of(event, call, envelope=self.envelope))

    def _plan(self, call: PhoneCall, moment: Moment) -> None:
        self._network.in_call(call, moment.at_s, lambda: self._tell_moment(call, moment))

    def _tell_moment(self, call: PhoneCall, moment: Moment) -> None:
        if moment.name == "agent_start_talking" and moment.utterance is not None:
            self._being_said[call.id] = moment.utterance
        elif moment.name == "agent_stop_talking":
            if self._being_said.get(call.id) != moment.utterance:
                return  # stopped before its end
            del self._being_said[call.id]
        self._send(call, moment.name, live_body(call, moment, at_ms=now_ms()))

    def _tell_typed(self, call: PhoneCall) -> None:
        """Somebody on the customer page has said something, or was answered: all of it at once."""
        turns = call.so_far()
        for index in range(self._told_turns.get(call.id, 0), len(turns)):
            for moment in moments_of_typed(turns[index], index):
                self._tell_moment(call, moment)
        self._told_turns[call.id] = len(turns)

    def _send(self, call: PhoneCall, name: str, body: Mapping[str, Any]) -> None:
        url = call.agent.get("webhook_url") or self._today.webhook_url
        if not url:
            return
        self._today.courier.send(
            Parcel(
                call_id=call.id,
                event=name,
                url=url,
                body=to_bytes(body),
                timeout_s=WEBHOOK_TIMEOUT_S,
                key=key_of(call),
                signer=self.signer,
            )
        )

    def ask_inbound(self, call: PhoneCall) -> None:
        """Nobody is asked: the number's own agent takes the call."""
        account = self._today.account
        try:
            agent = account.bound_agent(call.to_number, "inbound")
        except NoSuchThing:
            agent = None
        if agent is None:
            self._network.turn_away(call, "no inbound agent")
            return
        self._network.answer_inbound(
            call, agent=agent, given_variables=None, variables=account.variables_for(agent, {}), metadata=None
        )
