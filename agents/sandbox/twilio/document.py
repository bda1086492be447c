"""Runs the TwiML of a leg: Say, Play, Pause, Gather, Dial, Number, Conference, Redirect, Record, Hangup,
Reject."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from urllib.parse import urljoin

from agents.sandbox.twilio.callbacks import Callbacks
from agents.sandbox.twilio.exchange import LONG_S, Cut, Exchange, Redirected
from agents.sandbox.twilio.legs import Leg, Source, Wants
from agents.sandbox.twilio.rooms import Rooms
from agents.sandbox.twilio.wire import new_sid, truth

A_WORD_S, A_FILE_S, A_KEY_S, THINKS_S, A_MESSAGE_S = 0.35, 4.0, 0.5, 1.0, 6.0
MOST_DOCUMENTS = 50
A_MOMENT_S = 0.9
"""A leg sent round in circles is hung up: so many documents with less than this between two of them."""
APPLICATION_ERROR = "We are sorry, an application error has occurred. Goodbye."


class Broken(Exception):
    """TwiML that could not be had (11200), read (12100) or done (12200)."""

    def __init__(self, code: int, url: str) -> None:
        super().__init__(f"{code} {url}")
        self.code, self.url = code, url


class Player:
    """Follows the documents of legs, each on that leg's thread."""

    def __init__(self, *, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self.exchange: Exchange
        self.rooms: Rooms

    def live(self, leg: Leg) -> None:
        """All of a leg's life once it was answered, or has rung us. Raises Cut."""
        if leg.direction == "outbound-dial":
            self._as_child(leg)
        else:
            self.follow(leg)

    def follow(self, leg: Leg) -> None:
        """From its first document to its last. Raises Cut."""
        source: Source | None = leg.source
        clock = self.exchange.network.scheduler
        done, before = 0, clock.now()
        while done < MOST_DOCUMENTS:
            if source is None:
                return
            done = done + 1 if clock.now() - before < A_MOMENT_S else 1
            before = clock.now()
            try:
                source = self._play(leg, source)
            except Redirected:
                with self.exchange.changed:
                    source, leg.redirect = leg.redirect, None
        leg.problems.append("went round in circles")
        raise Cut

    def _play(self, leg: Leg, source: Source) -> Source | None:
        try:
            return self._do_all(leg, self._document(leg, source), source)
        except Broken as broken:
            leg.problems.append(f"{broken.code} {broken.url}")
            if source.fallback:
                told = (("ErrorCode", str(broken.code)), ("ErrorUrl", broken.url))
                return Source(url=source.fallback, with_it=told)
            self.exchange.pick_up(leg)
            leg.heard.append(APPLICATION_ERROR)
            return None

    def _document(self, leg: Leg, source: Source) -> ET.Element:
        """Raises Broken."""
        text = source.twiml
        if not text:
            told = (
                leg.basics()
                | ({"AnsweredBy": leg.answered_by} if leg.answered_by else {})
                | dict(source.with_it)
            )
            given = self._callbacks.ask(leg.sid, source.url, told)
            if given is None or not given.accepted:
                raise Broken(11200, source.url)
            text = given.body.decode(errors="replace")
        try:
            root = ET.fromstring(text)  # noqa: S314  our own customer's, on loopback
        except ET.ParseError as error:
            raise Broken(12100, source.url) from error
        if root.tag != "Response":
            raise Broken(12100, source.url)
        return root

    def _do_all(self, leg: Leg, root: ET.Element, source: Source) -> Source | None:
        if leg.answered is None and len(root) and root[0].tag == "Reject":
            leg.cut = "busy" if root[0].get("reason") == "busy" else "no-answer"
            raise Cut
        self.exchange.pick_up(leg)
        for verb in root:
            following = self._do(leg, verb, source)
            if following is not None:
                return following
        return None

    def _do(self, leg: Leg, verb: ET.Element, source: Source) -> Source | None:
        match verb.tag:
            case "Say" | "Play" | "Pause":
                self._hear(leg, verb)
            case "Gather":
                return self._gather(leg, verb, source)
            case "Dial":
                return self._dial(leg, verb, source)
            case "Record":
                return self._record(leg, verb, source)
            case "Redirect":
                return _asks(verb, source, (verb.text or "").strip())
            case "Hangup" | "Reject":
                raise Cut
            case _:
                raise Broken(12200, source.url)
        return None

    def _hear(self, leg: Leg, verb: ET.Element) -> str:
        text = (verb.text or "").strip()
        if verb.tag == "Pause":
            self.exchange.wait(leg, float(verb.get("length", "1")))
            return ""
        digits = verb.get("digits", "")
        leg.heard.append(f"[keys {digits}]" if digits else (f"[{text}]" if verb.tag == "Play" else text))
        length_s = A_KEY_S * len(digits) if digits else A_FILE_S
        self.exchange.wait(leg, A_WORD_S * len(text.split()) if verb.tag == "Say" else length_s)
        return text if verb.tag == "Say" else ""

    def _gather(self, leg: Leg, verb: ET.Element, source: Source) -> Source | None:
        prompt = " ".join(self._hear(leg, inner) for inner in verb)
        finish = verb.get("finishOnKey", "#")
        most = int(verb.get("numDigits", "32"))
        pressed = self.exchange.presses(leg, prompt, most)
        if not pressed:
            self.exchange.wait(leg, float(verb.get("timeout", "5")))
            if not truth(verb.get("actionOnEmptyResult")):
                return None
            return _asks(verb, source, verb.get("action", ""), ("Digits", ""))
        self.exchange.wait(leg, THINKS_S)
        digits, ended, _rest = pressed.partition(finish) if finish else (pressed, "", "")
        told = (("Digits", digits), ("FinishedOnKey", ended))
        return _asks(verb, source, verb.get("action", ""), *(told if ended else told[:1]))

    def _record(self, leg: Leg, verb: ET.Element, source: Source) -> Source | None:
        recording = self.exchange.record(
            leg, source="RecordVerb", url=_absolute(source, verb.get("recordingStatusCallback", ""))
        )
        recording.channels = 1
        longest_s = float(verb.get("maxLength", "3600"))
        try:
            self.exchange.wait(leg, min(longest_s, A_MESSAGE_S))
        finally:
            self.exchange.finish_recording(recording)
        told = (
            ("RecordingSid", recording.sid),
            ("RecordingUrl", f"https://api.twilio.com{recording.path}"),
            ("RecordingDuration", str(recording.duration_s)),
            ("Digits", ""),
        )
        return _asks(verb, source, verb.get("action", ""), *told)

    # Connecting

    def _dial(self, leg: Leg, verb: ET.Element, source: Source) -> Source | None:
        rooms = verb.findall("Conference")
        if rooms:
            told = self.rooms.sit_in(
                leg, rooms[0], base=source.url, longest_s=float(verb.get("timeLimit", "14400"))
            )
        else:
            told = self._connect(leg, verb, source)
        if not verb.get("action"):
            return None
        return _asks(verb, source, verb.get("action", ""), *told.items())

    def _connect(self, leg: Leg, verb: ET.Element, source: Source) -> Mapping[str, str]:
        numbers = verb.findall("Number") or ([verb] if (verb.text or "").strip() else [])
        in_turn = truth(verb.get("sequential"))
        children = [self._child(leg, verb, number, source) for number in numbers]
        for group in [[child] for child in children] if in_turn else [children]:
            if (winner := self._first_of(leg, group)) is not None:
                return self._talk(leg, winner, verb, source)
        last = children[-1] if children else None
        status = last.status if last and last.status != "completed" else "no-answer"
        return {
            "DialCallStatus": status,
            "DialCallSid": last.sid if last else "",
            "DialBridged": "false",
        }

    def _first_of(self, leg: Leg, group: list[Leg]) -> Leg | None:
        """Ring them all; who answers first, and heard the whisper out. The others are hung up."""
        winner: Leg | None = None
        try:
            for child in group:
                self.exchange.begin(child)
            self.exchange.wait(
                leg,
                LONG_S,
                until=lambda: any(child.ready for child in group) or all(child.over for child in group),
            )
            winner = next((child for child in group if child.ready), None)
        finally:
            for child in group:
                if child is not winner:
                    self.exchange.hang_up(child)
        return winner

    def _child(self, leg: Leg, dial: ET.Element, number: ET.Element, source: Source) -> Leg:
        url = _absolute(source, number.get("statusCallback", ""))
        events = frozenset(number.get("statusCallbackEvent", "completed").split())
        whisper = _absolute(source, number.get("url", ""))
        return Leg(
            sid=new_sid("CA"),
            account_sid=leg.account_sid,
            to=(number.text or "").strip(),
            from_=dial.get("callerId") or leg.from_,
            direction="outbound-dial",
            created=time.time(),
            parent=leg,
            source=Source(url=whisper),
            wants=Wants(url, events),
            ring_s=float(dial.get("timeout", "30")),
            detect=number.get("machineDetection", ""),
            detect_url=_absolute(source, number.get("amdStatusCallback", "")),
            digits=number.get("sendDigits", ""),
        )

    def _as_child(self, leg: Leg) -> None:
        """The thread of a telephone that a Dial rang: its whisper, then the talk, until one of the two
        goes."""
        if leg.source.url:
            self.follow(leg)
        with self.exchange.changed:
            leg.ready = True
            self.exchange.changed.notify_all()
        try:
            self.exchange.wait(leg, self.exchange.alone_s(), until=lambda: leg.bridged is not None)
            if leg.agents_call is not None:
                self.exchange.talk_with_agents(leg)
                return
            self.exchange.wait(leg, self.exchange.talks_s(leg), until=lambda: leg.bridged is None)
        except Redirected:
            with self.exchange.changed:
                source, leg.redirect, leg.bridged = leg.redirect, None, None
                self.exchange.changed.notify_all()
            assert source is not None
            leg.source = source
            self.follow(leg)

    def _talk(self, leg: Leg, other: Leg, verb: ET.Element, source: Source) -> Mapping[str, str]:
        exchange = self.exchange
        began = exchange.network.scheduler.now()
        recording = None
        with exchange.changed:
            leg.bridged, other.bridged, other.was_bridged, leg.was_bridged = other, leg, True, True
            exchange.changed.notify_all()
        if verb.get("record", "do-not-record") != "do-not-record":
            url = _absolute(source, verb.get("recordingStatusCallback", ""))
            recording = exchange.record(leg, source="DialVerb", url=url)
        gone = False
        try:
            limit_s = float(verb.get("timeLimit", "14400"))
            gone = exchange.wait(leg, limit_s, until=lambda: other.over or other.bridged is None)
        finally:
            with exchange.changed:
                leg.bridged = None
                if other.bridged is leg:
                    other.bridged = None
                exchange.changed.notify_all()
            if not gone:
                exchange.hang_up(other)
            if recording is not None:
                exchange.finish_recording(recording)
        told = {
            "DialCallStatus": "completed",
            "DialCallSid": other.sid,
            "DialCallDuration": str(round(exchange.network.scheduler.now() - began)),
            "DialBridged": "true",
        }
        if recording is not None:
            told |= {"RecordingUrl": f"https://api.twilio.com{recording.path}", "RecordingSid": recording.sid}
        return told


def _absolute(source: Source, url: str) -> str:
    return urljoin(source.url, url) if url and source.url else url


def _asks(verb: ET.Element, source: Source, url: str, *told: tuple[str, str]) -> Source:
    """The next document, by default the same one again."""
    return Source(url=_absolute(source, url) or source.url, twiml="" if url else source.twiml, with_it=told)
