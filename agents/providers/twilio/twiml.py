"""What a leg is told to do, as TwiML made by the official package and narrowed to what we use.

The package's builder takes any attribute and passes it on, so a misspelt one does nothing; here each verb has
its own. Text is escaped there. Addresses must be absolute and made by `address`, so that Twilio can reach and
sign them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from django.conf import settings
from twilio.twiml.voice_response import VoiceResponse

CONTENT_TYPE = "text/xml; charset=utf-8"
RETRIES = "#rc=2&rp=ct,5xx,rt"
"""Twilio asks again, twice, when we cannot be reached, take too long or fail; by default it would not, and
not after a refusal of ours. No part of what is signed."""
SAFE_PATH = re.compile(r"/[A-Za-z0-9/_-]*(\?[A-Za-z0-9=&_-]*)?")
DIGITS = re.compile(r"[0-9*#A-DwW]{1,32}")
LONGEST_SAID = 4096
EVENTS = "initiated ringing answered completed"


def address(path: str, *, retries: bool = True) -> str:
    """Where Twilio reaches `path` here. Raises ValueError for letters that a proxy might write otherwise."""
    if not SAFE_PATH.fullmatch(path):
        raise ValueError("only letters, digits, - and _ in the path and the query of a callback")
    return f"{settings.PUBLIC_BASE_URL}{path}{RETRIES if retries else ''}"


class Verbs:
    """Told one after the other. `language` as Twilio writes it: en-US."""

    def __init__(self, element: Any) -> None:
        self._element = element

    def say(self, text: str, *, language: str = "", voice: str = "") -> None:
        """Raises ValueError for nothing to say, or too much."""
        if not text.strip() or len(text) > LONGEST_SAID:
            raise ValueError(f"between 1 and {LONGEST_SAID} characters can be said")
        self._element.say(text, language=language or None, voice=voice or None)

    def play(self, url: str) -> None:
        self._element.play(_absolute(url))

    def pause(self, seconds: int = 1) -> None:
        self._element.pause(length=seconds)


class Twiml(Verbs):
    """One document. `str()` of it is what is answered, or sent as `twiml` of a `LegOrder` or `redirect`."""

    def __init__(self) -> None:
        self._response = VoiceResponse()
        super().__init__(self._response)

    def __str__(self) -> str:
        return str(self._response.to_xml())

    def keys(self, digits: str) -> None:
        """Press keys: 0-9 * # and w, half a second's wait. Raises ValueError."""
        if not DIGITS.fullmatch(digits):
            raise ValueError("only 0-9 * # A-D and w, at most 32")
        self._response.play(digits=digits)

    def gather(
        self,
        *,
        action: str,
        digits: int = 1,
        timeout_s: int = 5,
        even_if_empty: bool = True,
        finish_on: str | None = None,
    ) -> Verbs:
        """Wait for keys; what is told to the result is heard meanwhile and cut short by a key.

        `action` is asked with what was pressed; also with nothing, unless not `even_if_empty`: then what
        follows is done.
        """
        return Verbs(
            self._response.gather(
                input="dtmf",
                num_digits=digits,
                timeout=timeout_s,
                action=_absolute(action),
                method="POST",
                action_on_empty_result=even_if_empty,
                finish_on_key=finish_on,
            )
        )

    def dial(
        self,
        *,
        numbers: Sequence[str],
        caller_id: str,
        action: str,
        ring_s: int = 25,
        longest_s: int = 3600,
        status_callback: str = "",
        detect: Literal["", "Enable", "DetectMessageEnd"] = "",
        detect_callback: str = "",
        whisper_url: str = "",
        record: bool = False,
        recording_callback: str = "",
        one_after_the_other: bool = False,
    ) -> None:
        """Ring up to ten numbers and connect the first that answers; `action` is asked afterwards, always.

        `caller_id` '': of a call that came in, the number it came from.
        `whisper_url`: TwiML that who answers hears before being connected, such as "press 1". `record` is
        from the answer on, each side on its own channel. Raises ValueError.
        """
        if not 1 <= len(numbers) <= 10:
            raise ValueError("one to ten numbers can be rung")
        dial = self._dial(
            action, ring_s, longest_s, record, recording_callback, caller_id, one_after_the_other
        )
        for number in numbers:
            dial.number(
                number,
                url=_absolute(whisper_url) if whisper_url else None,
                status_callback=_absolute(status_callback) if status_callback else None,
                status_callback_event=EVENTS if status_callback else None,
                machine_detection=detect or None,
                amd_status_callback=_absolute(detect_callback) if detect_callback else None,
            )

    def join(
        self,
        conference: str,
        *,
        action: str,
        starts_it: bool = True,
        ends_it: bool = False,
        muted: bool = False,
        beep: bool = False,
        wait_url: str | None = None,
        longest_s: int = 3600,
        status_callback: str = "",
        label: str = "",
        record: bool = False,
        recording_callback: str = "",
        coaches: str = "",
    ) -> None:
        """Into a conference of that name, which is the account's: take an id that nobody guesses.

        `wait_url` '' is silence, None Twilio's music. `coaches`: the sid of the only leg that hears this one.
        """
        dial = self._response.dial(action=_absolute(action), method="POST", time_limit=longest_s)
        dial.conference(
            conference,
            start_conference_on_enter=starts_it,
            end_conference_on_exit=ends_it,
            muted=muted or None,
            beep="true" if beep else "false",
            wait_url=wait_url,
            status_callback=_absolute(status_callback) if status_callback else None,
            status_callback_event="start end join leave mute hold" if status_callback else None,
            participant_label=label or None,
            record="record-from-start" if record else None,
            recording_status_callback=_absolute(recording_callback) if recording_callback else None,
            coach=coaches or None,
        )

    def record(
        self, *, action: str, longest_s: int = 120, silence_s: int = 5, beep: bool = True, callback: str = ""
    ) -> None:
        """A message: until silence, a key or `longest_s`; then `action` is asked."""
        self._response.record(
            action=_absolute(action),
            method="POST",
            max_length=longest_s,
            timeout=silence_s,
            play_beep=beep,
            recording_status_callback=_absolute(callback) if callback else None,
        )

    def redirect(self, url: str) -> None:
        self._response.redirect(_absolute(url), method="POST")

    def hang_up(self) -> None:
        self._response.hangup()

    def reject(self, *, busy: bool = False) -> None:
        """Only as the first thing done with a call coming in: it is not answered, and costs nothing."""
        self._response.reject(reason="busy" if busy else "rejected")

    def _dial(
        self,
        action: str,
        ring_s: int,
        longest_s: int,
        record: bool,
        recording_callback: str,
        caller_id: str,
        in_turn: bool,
    ) -> Any:
        return self._response.dial(
            action=_absolute(action),
            method="POST",
            timeout=ring_s,
            time_limit=longest_s,
            caller_id=caller_id or None,
            record="record-from-answer-dual" if record else None,
            recording_status_callback=_absolute(recording_callback) if recording_callback else None,
            sequential=in_turn or None,
        )


def _absolute(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("an absolute address is needed")
    return url
