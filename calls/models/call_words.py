"""Where a call is, how it ended, what it meant: the words its columns may hold, and how staff read them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models
from django.utils.translation import gettext_lazy as _

DESK_PROVIDER, DESK_LINE = "twilio", "telephones"
"""Who carries what people call themselves, and what shares its pace: the AI agents' lines are others."""


class Direction(models.TextChoices):
    OUTBOUND = "outbound", _("Out")
    INBOUND = "inbound", _("In")


class CallStatus(models.TextChoices):
    """Where the call is. It only climbs and may skip; down only to queued, when provably nothing rang."""

    QUEUED = "queued", _("Waiting")
    DIALING = "dialing", _("Calling")
    UNCONFIRMED = "unconfirmed", _("Checking with the phone company: will not be called twice")
    PLACED = "placed", _("Calling")
    RINGING = "ringing", _("Ringing")
    IN_PROGRESS = "in_progress", _("On the phone")
    ENDED = "ended", _("Ended")


CLIMB: Sequence[str] = CallStatus.values
OPEN = tuple(status for status in CallStatus.values if status != CallStatus.ENDED)
ACTIVE = (
    CallStatus.DIALING,
    CallStatus.UNCONFIRMED,
    CallStatus.PLACED,
    CallStatus.RINGING,
    CallStatus.IN_PROGRESS,
)


class Outcome(models.TextChoices):
    """How the telephone call ended."""

    CONNECTED = "connected", _("Talked")
    VOICEMAIL = "voicemail", _("Voicemail")
    SCREENED = "screened", _("Call screening")
    NO_ANSWER = "no_answer", _("No answer")
    BUSY = "busy", _("Busy")
    DECLINED = "declined", _("Declined")
    INVALID_NUMBER = "invalid_number", _("Invalid number")
    BLOCKED = "blocked", _("Blocked")
    FAILED = "failed", _("Failed")
    CANCELED = "canceled", _("Cancelled")
    EXPIRED = "expired", _("Expired before it could be made")
    UNKNOWN = "unknown", _("Not known")


class AnsweredBy(models.TextChoices):
    PERSON = "person", _("A person")
    MACHINE = "machine", _("A machine")
    SCREENING = "screening", _("Call screening")
    UNCLEAR = "unclear", _("Not clear")


class Disposition(models.TextChoices):
    """What the call meant. Analysis proposes, a person's word wins."""

    INTERESTED = "interested", _("Interested")
    CALL_BACK = "call_back", _("Wants a call back")
    NOT_INTERESTED = "not_interested", _("Not interested")
    NEVER_CALL = "never_call", _("Never call again")
    WRONG_NUMBER = "wrong_number", _("Wrong number")
    CONVERTED = "converted", _("Became a customer")
    NO_CONTACT = "no_contact", _("Nobody reached")
    REVIEW = "review", _("Needs a look")


class Sentiment(models.TextChoices):
    POSITIVE = "positive", _("Positive")
    NEUTRAL = "neutral", _("Neutral")
    NEGATIVE = "negative", _("Negative")
    UNKNOWN = "unknown", _("Unknown")


class Priority(models.IntegerChoices):
    """The order of claims: lower goes first."""

    CALL_BACK = 1, _("Promised call-back")
    CLICK = 2, _("Single call")
    NEW_LEAD = 3, _("New lead")
    BATCH = 4, _("Batch")
    CAMPAIGN = 5, _("Campaign")


class Via(models.TextChoices):
    DESK = "desk", _("Desk")
    API = "api", _("Other system")
    CALL_BACK = "call_back", _("Promised call-back")
    TEST = "test", _("Test call")
    FALLBACK = "fallback", _("Instead of a refused call")


class Judgement(models.TextChoices):
    """What a person says of a call of which the phone company does not say it, or of an incident."""

    CALLED = "called", _("It was called")
    NOT_CALLED = "not_called", _("It was not called")
    AGAIN = "again", _("Called again")
    SEEN = "seen", _("Seen")
