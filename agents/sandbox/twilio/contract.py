"""Twilio's REST on the sandbox's network: calls, conferences, recordings; and its control doors.

Where Twilio's documents are silent the sandbox decides so: a person who is asked for a key presses the first
that is offered, one who never wants to be called the one that says so, a machine none; whoever a Dial or an
invitation rang talks as long as their conversation is and hangs up; a declined call is busy; calls over the
account's pace wait, calls of Retell's over a trunk's are rejected.
"""

from __future__ import annotations

import base64
import hmac
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from agents.sandbox.conversation import converse
from agents.sandbox.faults import Faults
from agents.sandbox.ledger import Ledger
from agents.sandbox.network import Network
from agents.sandbox.retell import Disconnect, RetellContract
from agents.sandbox.retell_requests import E164
from agents.sandbox.twilio.callbacks import Callbacks
from agents.sandbox.twilio.carriage import Carriage
from agents.sandbox.twilio.document import Player
from agents.sandbox.twilio.doors import Doors
from agents.sandbox.twilio.exchange import Exchange
from agents.sandbox.twilio.holdings import Holdings
from agents.sandbox.twilio.legs import Leg, Recording, Source, Wants, participant
from agents.sandbox.twilio.rooms import Rooms
from agents.sandbox.twilio.wire import VERSION, TwilioError, answer, demanded, missing, new_sid, page, truth
from agents.sandbox.voices import CONTENT_TYPE
from agents.sandbox.voices import recording as sound_of

FIXED_SID = "AC" + "0" * 32
FIXED_TOKEN = "token_sandbox_0123456789abcdef"  # noqa: S105  for tests and demos
LONGEST_INLINE = 4000
MADE = frozenset({"Trunks", "CredentialLists", "Credentials", "OriginationUrls", "PhoneNumbers"})
"""Whose answer can be lost once it is made; the number's place on a trunk as well."""


class TwilioContract:
    """Thread-safe. Shares people, faults and books with Retell's contracts on the same network."""

    def __init__(
        self,
        *,
        account_sid: str,
        token: str,
        network: Network,
        retell: RetellContract,
        ledger: Ledger,
        faults: Faults,
        stopping: threading.Event,
    ) -> None:
        self.account_sid, self.token = account_sid, token
        self.capacity = 0
        """Legs at once; 0: any number."""
        self._faults, self._stopping = faults, stopping
        self.callbacks = Callbacks(token=token, ledger=ledger, faults=faults, scheduler=network.scheduler)
        self.holdings = Holdings(account_sid)
        self.carriage = Carriage(self.holdings)
        player = Player(callbacks=self.callbacks)
        self.exchange = Exchange(network=network, callbacks=self.callbacks, follow=player.live)
        self.rooms = Rooms(exchange=self.exchange, callbacks=self.callbacks)
        player.exchange, player.rooms = self.exchange, self.rooms
        self._doors = Doors(
            account_sid=account_sid,
            holdings=self.holdings,
            carriage=self.carriage,
            exchange=self.exchange,
            network=network,
            account=retell.account,
        )
        retell.carrier, retell.carrier_in = self.carriage.refuses, self.carriage.keeps
        self.exchange.reaches_agents = lambda number: (
            any(body["phone_number"] == number for body in retell.account.numbers())
            and not self.carriage.keeps(number)
        )

    def rotate(self, token: str) -> None:
        """The primary token changes: it is asked for, and signs, from now on."""
        self.token = self.callbacks.token = token

    def forget(self) -> None:
        self.exchange.forget()
        self.rooms.forget()

    def stop(self) -> None:
        self.exchange.stop()
        self.callbacks.stop()

    # HTTP

    def rules(self) -> Sequence[Rule]:
        def rule(methods: str, path: str, endpoint: Callable[..., Response]) -> Rule:
            return Rule(path, methods=methods.split(), endpoint=endpoint)

        here = f"/{VERSION}/Accounts/<account>"
        rooms = f"{here}/Conferences"
        return [
            rule("GET", f"/{VERSION}/Accounts/<account>.json", self.account),
            rule("GET", f"{here}/Calls.json", self.list_calls),
            rule("POST", f"{here}/Calls.json", self.create_call),
            rule("GET POST", f"{here}/Calls/<sid>.json", self.call),
            rule("GET POST", f"{here}/Calls/<sid>/Recordings.json", self.recordings_of),
            rule("GET POST", f"{here}/Calls/<sid>/Recordings/<recording>.json", self.recording_of),
            rule("GET DELETE", f"{here}/Recordings/<recording>.json", self.recording),
            rule("GET", f"{here}/Recordings/<recording>.mp3", self.audio),
            rule("GET", f"{rooms}.json", self.list_rooms),
            rule("GET POST", f"{rooms}/<room>.json", self.room),
            rule("GET POST", f"{rooms}/<room>/Participants.json", self.participants),
            rule("GET", f"{rooms}/<room>/Recordings.json", self.recordings_of_room),
            rule("GET POST DELETE", f"{rooms}/<room>/Participants/<sid>.json", self.participant),
            *self.holdings.rules(),
            *self.carriage.rules(),
            *self._doors.rules(),
        ]

    def serve(
        self, request: Request, endpoint: Callable[..., Response], values: Mapping[str, Any]
    ) -> Response:
        try:
            if not request.path.startswith("/control/"):
                self._admit(request, values)
            kept = {name: value for name, value in values.items() if name != "account"}
            response = endpoint(request, **kept)
        except TwilioError as refusal:
            return refusal.response()
        made = request.path.removesuffix(".json").rsplit("/", 1)[1]
        is_new = response.status_code == 201 and made in MADE
        if is_new and self._faults.take("make_500_after", event=made):
            return TwilioError(500, 20500, "Internal Server Error").response()
        return response

    def _admit(self, request: Request, values: Mapping[str, Any]) -> None:
        wanted = base64.b64encode(f"{self.account_sid}:{self.token}".encode()).decode()
        given = request.headers.get("Authorization", "")
        right = hmac.compare_digest(given.encode(), f"Basic {wanted}".encode())
        if not right or values.get("account", self.account_sid) != self.account_sid:
            raise TwilioError(401, 20003, "Authenticate")
        if self._faults.take("answer_401"):
            raise TwilioError(401, 20003, "Authenticate")
        if request.method == "GET":
            if (hang := self._faults.take("read_hang")) is not None:
                self._stopping.wait(hang.seconds)
            if self._faults.take("read_429"):
                raise TwilioError(429, 20429, "Too Many Requests")
            if self._faults.take("read_500"):
                raise TwilioError(500, 20500, "Internal Server Error")

    def account(self, request: Request) -> Response:
        return answer(
            {
                "sid": self.account_sid,
                "friendly_name": "Brightside (sandbox)",
                "status": "active",
                "type": "Full",
                "owner_account_sid": self.account_sid,
                "auth_token": self.token,
                "uri": f"/{VERSION}/Accounts/{self.account_sid}.json",
            }
        )

    # Calls

    def create_call(self, request: Request) -> Response:
        whom = request.form.get("To", "")
        if self._faults.take("create_429", key=whom):
            raise TwilioError(429, 20429, "Too Many Requests")
        if self._faults.take("create_500_before", key=whom):
            raise TwilioError(500, 20500, "Internal Server Error")
        form = request.form
        twiml = form.get("Twiml", "")
        if not twiml and not form.get("Url"):
            raise TwilioError(400, 21205, "Url parameter is required")
        if len(twiml) > LONGEST_INLINE:
            raise TwilioError(400, 21608, "Twiml is too long")
        source = Source(
            twiml=twiml if not form.get("Url") else "",
            url=form.get("Url", ""),
            fallback=form.get("FallbackUrl", ""),
        )
        leg = self._order(request, source)
        self.exchange.begin(leg)
        if self._faults.take("create_500_after", key=whom):
            raise TwilioError(500, 20500, "Internal Server Error")
        if self._faults.take("create_disconnect_after", key=whom):
            raise Disconnect
        if (hang := self._faults.take("create_hang_after", key=whom)) is not None:
            self._stopping.wait(hang.seconds)
        if self._faults.take("create_unreadable", key=whom):
            return Response(b"<html>upstream said something", status=201, content_type="text/html")
        with self.exchange.changed:
            return answer(leg.as_json(), 201)

    def _order(self, request: Request, source: Source) -> Leg:
        """Raises TwilioError for a number that is none, or not ours, and for too many at once."""
        to, from_ = demanded(request, "To", "From")
        if not E164.match(to):
            raise TwilioError(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
        if self.holdings.by_number(from_) is None:
            raise TwilioError(400, 21210, f"The source phone number provided, {from_}, is not yet verified")
        with self.exchange.changed:
            open_ = sum(not leg.over for leg in self.exchange.legs.values())
        if self.capacity and open_ >= self.capacity:
            raise TwilioError(400, 10004, "Call concurrency limit exceeded")
        form = request.form
        return Leg(
            sid=new_sid("CA"),
            account_sid=self.account_sid,
            to=to,
            from_=from_,
            direction="outbound-api",
            created=time.time(),
            source=source,
            wants=_wants(request),
            ring_s=float(form.get("Timeout", "60")),
            longest_s=float(form.get("TimeLimit", "14400")),
            detect=form.get("MachineDetection", ""),
            detect_url=form.get("AsyncAmdStatusCallback", "") if truth(form.get("AsyncAmd")) else "",
            digits=form.get("SendDigits", ""),
            records=truth(form.get("Record")),
            records_url=form.get("RecordingStatusCallback", ""),
        )

    def _leg(self, sid: str) -> Leg:
        with self.exchange.changed:
            leg = self.exchange.legs.get(sid)
        if leg is None:
            raise missing(f"/Calls/{sid}")
        return leg

    def list_calls(self, request: Request) -> Response:
        asked = request.args
        since, before = asked.get("StartTime>"), asked.get("StartTime<")

        def wanted(leg: Leg) -> bool:
            day = time.strftime("%Y-%m-%d", time.gmtime(leg.created))
            return (
                asked.get("To", leg.to) == leg.to
                and asked.get("From", leg.from_) == leg.from_
                and asked.get("Status", leg.status) == leg.status
                and asked.get("ParentCallSid", leg.parent.sid if leg.parent else None)
                == (leg.parent.sid if leg.parent else None)
                and (since is None or day >= since[:10])
                and (before is None or day <= before[:10])
            )

        with self.exchange.changed:
            found = [leg.as_json() for leg in reversed(self.exchange.legs.values()) if wanted(leg)]
        return page(request, "calls", found)

    def call(self, request: Request, sid: str) -> Response:
        leg = self._leg(sid)
        with self.exchange.changed:
            if request.method == "POST":
                self._update(leg, request)
            return answer(leg.as_json())

    def _update(self, leg: Leg, request: Request) -> None:
        status, form = request.form.get("Status"), request.form
        if leg.over or leg.cut:
            raise TwilioError(400, 21220, f"Call {leg.sid} is not in-progress. Cannot redirect.")
        if status == "completed" or (status == "canceled" and leg.answered is None):
            self.exchange.hang_up(leg)
        elif status not in (None, "", "canceled"):
            raise TwilioError(400, 20001, "Invalid Status")
        elif form.get("Url") or form.get("Twiml"):
            if leg.answered is None:
                raise TwilioError(400, 21220, f"Call {leg.sid} is not in-progress. Cannot redirect.")
            leg.redirect = Source(
                url=form.get("Url", ""), twiml=form.get("Twiml", ""), fallback=form.get("FallbackUrl", "")
            )
            self.exchange.changed.notify_all()

    # Recordings

    def recordings_of(self, request: Request, sid: str) -> Response:
        leg = self._leg(sid)
        if request.method == "POST":
            if leg.status != "in-progress":
                raise TwilioError(400, 21220, "Requested resource is not eligible for recording")
            url = request.form.get("RecordingStatusCallback", "")
            return answer(self.exchange.record(leg, source="StartCallRecordingAPI", url=url).as_json(), 201)
        with self.exchange.changed:
            found = [item.as_json() for item in self.exchange.recordings.values() if item.leg is leg]
        return page(request, "recordings", found)

    def recordings_of_room(self, request: Request, room: str) -> Response:
        with self.exchange.changed:
            kept = self.exchange.recordings.values()
            found = [item.as_json() for item in kept if item.conference_sid == room]
        return page(request, "recordings", found)

    def recording_of(self, request: Request, sid: str, recording: str) -> Response:
        leg = self._leg(sid)
        with self.exchange.changed:
            own = [item for item in self.exchange.recordings.values() if item.leg is leg]
            if recording == "Twilio.CURRENT":
                found = next((item for item in own if item.duration_s is None), None)
            else:
                found = next((item for item in own if item.sid == recording), None)
        if found is None:
            raise missing(recording)
        if request.method == "POST":
            (status,) = demanded(request, "Status")
            if found.duration_s is not None:
                raise TwilioError(400, 21220, "The recording is over")
            found.status = status
            if status == "stopped":
                self.exchange.finish_recording(found)
        return answer(found.as_json())

    def _recording(self, sid: str) -> Recording:
        with self.exchange.changed:
            found = self.exchange.recordings.get(sid)
        if found is None:
            raise missing(f"/Recordings/{sid}")
        return found

    def recording(self, request: Request, recording: str) -> Response:
        found = self._recording(recording)
        if request.method == "DELETE":
            with self.exchange.changed:
                del self.exchange.recordings[recording]
            return Response(status=204)
        return answer(found.as_json())

    def audio(self, request: Request, recording: str) -> Response:
        """What the person says, or the nearest that has a sound."""
        return Response(self._sound(self._recording(recording)), content_type=CONTENT_TYPE)

    def _sound(self, found: Recording) -> bytes:
        person = found.leg.person
        script = person.script if person is not None and person.script else "voicemail_message"
        said = converse(script, variables={}, now=datetime.now(UTC), local_tz=None, seed=1)
        return sound_of(said)

    # Conferences

    def list_rooms(self, request: Request) -> Response:
        asked = request.args
        with self.exchange.changed:
            found = [
                room.as_json()
                for room in reversed(self.rooms.all.values())
                if asked.get("FriendlyName", room.name) == room.name
                and asked.get("Status", room.status) == room.status
            ]
        return page(request, "conferences", found)

    def room(self, request: Request, room: str) -> Response:
        with self.exchange.changed:
            found = self.rooms.find(room)
            if found is None:
                raise missing(room)
            if request.method == "POST":
                if found.status == "completed":
                    raise TwilioError(400, 21220, "The conference is over")
                if request.form.get("Status") == "completed":
                    self.rooms.end(found)
            return answer(found.as_json())

    def participants(self, request: Request, room: str) -> Response:
        if request.method == "GET":
            with self.exchange.changed:
                found = self.rooms.find(room)
                if found is None:
                    raise missing(room)
                members = [participant(found, member.leg, member) for member in found.members]
            return page(request, "participants", members)
        found = self.rooms.find(room)
        if found is None and room.startswith("CF"):
            raise missing(room)
        name = found.name if found else room
        ends = str(truth(request.form.get("EndConferenceOnExit"))).lower()
        label = request.form.get("Label", "")
        leg = self._order(request, Source(twiml=_joining(name, ends, label)))
        leg.label = label
        self.exchange.begin(leg)
        return answer(participant(self.rooms.open(name, self.account_sid), leg, None), 201)

    def participant(self, request: Request, room: str, sid: str) -> Response:
        with self.exchange.changed:
            found = self.rooms.find(room)
            member = found.member(sid) if found else None
            if found is None or member is None:
                raise missing(sid)
            if request.method == "DELETE":
                self.rooms.remove(member)
                return Response(status=204)
            if request.method == "POST":
                form = request.form
                member.hold = truth(form.get("Hold"), member.hold)
                member.muted = truth(form.get("Muted"), member.muted)
                member.ends_it = truth(form.get("EndConferenceOnExit"), member.ends_it)
                member.leg.heard += [
                    f"[{form[name]}]" for name in ("HoldUrl", "AnnounceUrl") if form.get(name)
                ]
            return answer(participant(found, member.leg, member))


def _wants(request: Request) -> Wants:
    events = frozenset(
        event for value in request.form.getlist("StatusCallbackEvent") for event in value.split()
    )
    return Wants(request.form.get("StatusCallback", ""), events or frozenset({"completed"}))


def _joining(name: str, ends: str, label: str) -> str:
    how = f"endConferenceOnExit={quoteattr(ends)} participantLabel={quoteattr(label)}"
    return f"<Response><Dial><Conference {how}>{escape(name)}</Conference></Dial></Response>"
