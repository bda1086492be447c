"""What Twilio tells and asks over HTTP, read from its forms. Loosely: parameters are added without notice.

Statuses and words are kept raw. A leg's `sequence` counts the events of that leg that we asked for; arrival
says nothing about order. Other families of callbacks have none.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from agents.providers.base import Unreadable
from agents.providers.twilio.resources import OVER, moment, whole
from agents.providers.twilio.signature import Form, read_form


class Family(enum.StrEnum):
    PROGRESS = "progress"
    """A leg rings, was answered, is over."""
    DETECTED = "detected"
    """Who answered, found out while the call went on."""
    RECORDING = "recording"
    CONFERENCE = "conference"
    DIALLED = "dialled"
    """A Dial is over: what becomes of the leg is asked."""
    PRESSED = "pressed"
    """A Gather is over, perhaps with nothing."""
    DOCUMENT = "document"
    """What the leg shall hear is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One request. '' and None for what it does not say; durations s."""

    family: Family
    account_sid: str
    leg_sid: str
    parent_sid: str
    status: str
    direction: str
    from_number: str
    to_number: str
    sequence: int | None
    at: datetime | None
    duration_s: int | None
    sip_code: str
    answered_by: str
    """human, machine_start, machine_end_beep, machine_end_silence, machine_end_other, fax or unknown."""
    attestation: str
    """A, B or C, where the carrier says so."""
    digits: str
    finished_on: str
    dialled_status: str
    dialled_sid: str
    dialled_s: int | None
    was_bridged: bool
    recording_sid: str
    recording_status: str
    recording_source: str
    recording_s: int | None
    conference_sid: str
    conference_name: str
    conference_event: str
    label: str
    error_code: str

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def name(self) -> str:
        """For administrators."""
        detail = {
            Family.PROGRESS: self.status,
            Family.DETECTED: self.answered_by,
            Family.RECORDING: self.recording_status,
            Family.CONFERENCE: self.conference_event,
            Family.DIALLED: self.dialled_status,
        }.get(self.family, "")
        return f"{self.family.value} {detail}".strip()


def read_callback(body: bytes) -> Callback:
    """NUL, which no database can hold as text, is replaced. Raises Unreadable."""
    try:
        form = read_form(body)
    except ValueError as error:
        raise Unreadable("This is no form.") from error
    for name, values in form.items():
        form[name] = [value.replace("\x00", "\ufffd") for value in values]
    if not form.first("CallSid") and not form.first("ConferenceSid") and not form.first("RecordingSid"):
        raise Unreadable("This names no call, conference or recording.")
    return _of(form)


def _family(form: Form) -> Family:
    if "StatusCallbackEvent" in form and "ConferenceSid" in form:
        return Family.CONFERENCE
    if "DialCallStatus" in form:
        return Family.DIALLED
    if form.first("CallbackSource") == "call-progress-events":
        return Family.PROGRESS
    if "Digits" in form:
        return Family.PRESSED
    if "RecordingStatus" in form:
        return Family.RECORDING
    if "MachineDetectionDuration" in form:
        return Family.DETECTED
    # Without progress events asked for, the end is told without a source.
    return Family.PROGRESS if "CallDuration" in form else Family.DOCUMENT


def _of(form: Form) -> Callback:
    plain = {name: values[0] for name, values in form.items() if values}
    return Callback(
        family=_family(form),
        account_sid=form.first("AccountSid"),
        leg_sid=form.first("CallSid"),
        parent_sid=form.first("ParentCallSid"),
        status=form.first("CallStatus"),
        direction=form.first("Direction"),
        from_number=form.first("From"),
        to_number=form.first("To"),
        sequence=whole(plain, "SequenceNumber"),
        at=moment(plain, "Timestamp"),
        duration_s=whole(plain, "CallDuration"),
        sip_code=form.first("SipResponseCode"),
        answered_by=form.first("AnsweredBy"),
        attestation=form.first("StirStatus"),
        digits=form.first("Digits"),
        finished_on=form.first("FinishedOnKey"),
        dialled_status=form.first("DialCallStatus"),
        dialled_sid=form.first("DialCallSid"),
        dialled_s=whole(plain, "DialCallDuration"),
        was_bridged=form.first("DialBridged") == "true",
        recording_sid=form.first("RecordingSid"),
        recording_status=form.first("RecordingStatus"),
        recording_source=form.first("RecordingSource"),
        recording_s=whole(plain, "RecordingDuration"),
        conference_sid=form.first("ConferenceSid"),
        conference_name=form.first("FriendlyName"),
        conference_event=form.first("StatusCallbackEvent"),
        label=form.first("ParticipantLabel"),
        error_code=form.first("ErrorCode"),
    )
