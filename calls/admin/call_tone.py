"""How a call's badge is coloured; its words say the same."""

from __future__ import annotations

from calls.models import AnsweredBy, Call, CallStatus, Outcome

TONES = {
    Outcome.CONNECTED: "good",
    Outcome.VOICEMAIL: "half",
    Outcome.SCREENED: "half",
    Outcome.INVALID_NUMBER: "bad",
    Outcome.BLOCKED: "bad",
    Outcome.FAILED: "bad",
    Outcome.UNKNOWN: "bad",
}


def tone(call: Call) -> str:
    """good, half, bad, live or plain: the name of a class in calls.css."""
    if call.status == CallStatus.UNCONFIRMED:
        return "half"
    if call.status not in {CallStatus.QUEUED, CallStatus.ENDED}:
        return "live"
    if call.outcome == Outcome.CONNECTED and call.answered_by not in {AnsweredBy.PERSON, ""}:
        return "half"
    return TONES.get(Outcome(call.outcome), "plain") if call.outcome else "plain"
