"""How a telephone call ended, in our words, whoever carried it. Handed on from `base`."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.StrEnum):
    """How the telephone call ended, in our words (design, section 2)."""

    CONNECTED = "connected"
    VOICEMAIL = "voicemail"
    SCREENED = "screened"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DECLINED = "declined"
    INVALID_NUMBER = "invalid_number"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELED = "canceled"
    """Given up on our side before anybody picked up."""


class AnsweredBy(enum.StrEnum):
    PERSON = "person"
    MACHINE = "machine"
    SCREENING = "screening"
    UNCLEAR = "unclear"
    NOBODY = ""


class RetryClass(enum.StrEnum):
    """Whether and when it makes sense to try the same person again."""

    LATER = "later"
    """Minutes or hours later; counts as an attempt."""
    SOON = "soon"
    """A technical failure: with back-off, need not count."""
    FIX = "fix"
    """Something of ours must be mended first; do not burn attempts."""
    REVIEW = "review"
    """A person decides."""
    NO = "no"


class Fault(enum.StrEnum):
    """What has to be mended, or waited for, before such a call can work. Costs no attempt."""

    NONE = ""
    LINE = "line"
    CAPACITY = "capacity"
    NUMBER = "number"
    AGENT = "agent"
    ACCOUNT = "account"
    DESK = "desk"
    """Our own telephone, rung first, came to nothing: the person was never rung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a provider's reason for the end means."""

    outcome: Outcome
    answered_by: AnsweredBy
    retry: RetryClass
    known: bool = True
    """False for a reason this release has never heard of: kept raw, shown, treated as other."""
    opted_out: bool = False
    """The person asked never to be called again."""
    call_back: bool = False
    """The person asked to be called back."""
    stopped: bool = False
    """Hung up on our side of the line: by our request, or in the provider's dashboard."""
    evidence: str = ""
    """What it was inferred from; '' where the provider itself gave the reason."""
    fault: Fault = Fault.NONE
    """Whose fault it was that the call came to nothing; NONE for what people do."""
