"""What is sent to Twilio: forms, and the order to ring one telephone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

LONGEST_INLINE = 4000
"""Characters of TwiML that may come with a request instead of an address."""

Fields = Mapping[str, str | int | bool | Sequence[str] | None]
Detect = Literal["", "Enable", "DetectMessageEnd"]
PROGRESS = ("initiated", "ringing", "answered", "completed")


def encode(fields: Fields) -> bytes:
    """None is left out, a list repeats its name, truth is lower case."""
    pairs: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, bool):
            pairs.append((name, "true" if value else "false"))
        elif isinstance(value, str | int):
            pairs.append((name, str(value)))
        elif value is not None:
            pairs += [(name, item) for item in value]
    return urlencode(pairs).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class LegOrder:
    """One telephone to ring. `twiml` (at most 4000 characters) or `url`, never both; seconds; absolute
    addresses.

    `detect`: whether a machine answered is found out before the TwiML runs ("Enable"), or meanwhile and until
    its beep ("DetectMessageEnd", with `detect_callback`).
    """

    to_number: str
    from_number: str
    twiml: str = ""
    url: str = ""
    fallback_url: str = ""
    status_callback: str = ""
    events: tuple[str, ...] = PROGRESS
    ring_s: int = 25
    longest_s: int = 3600
    detect: Detect = ""
    detect_callback: str = ""
    """Given: detection does not hold the call up."""
    digits: str = ""
    """Keys pressed once answered; Twilio then detects no machine."""
    record: bool = False
    recording_callback: str = ""
    more: Fields = field(default_factory=dict)
    """Further fields in Twilio's own words."""

    def fields(self) -> Fields:
        """Raises ValueError for what Twilio would refuse."""
        if bool(self.twiml) == bool(self.url):
            raise ValueError("either TwiML or its address, not both")
        if len(self.twiml) > LONGEST_INLINE:
            raise ValueError(f"more than {LONGEST_INLINE} characters of TwiML: give its address")
        if self.digits and self.detect:
            raise ValueError("with digits no machine is detected")
        return {
            "To": self.to_number,
            "From": self.from_number,
            "Twiml": self.twiml or None,
            "Url": self.url or None,
            "FallbackUrl": self.fallback_url or None,
            "StatusCallback": self.status_callback or None,
            "StatusCallbackEvent": self.events if self.status_callback else None,
            "Timeout": self.ring_s,
            "TimeLimit": self.longest_s,
            "MachineDetection": self.detect or None,
            "AsyncAmd": "true" if self.detect and self.detect_callback else None,
            "AsyncAmdStatusCallback": self.detect_callback or None,
            "SendDigits": self.digits or None,
            "Record": True if self.record else None,
            "RecordingChannels": "dual" if self.record else None,
            "RecordingStatusCallback": self.recording_callback or None,
            **self.more,
        }
