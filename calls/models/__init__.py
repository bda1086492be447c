"""Demand: whom to call, when, what happened."""

from calls.models.access import ApiKey
from calls.models.batch import CallBatch
from calls.models.call import (
    AnsweredBy,
    Call,
    CallRequest,
    CallStatus,
    Direction,
    Disposition,
    Outcome,
    Priority,
    Sentiment,
    Via,
)
from calls.models.callback import CallBack
from calls.models.do_not_call import DoNotCall
from calls.models.gate import Gate, Heartbeat
from calls.models.imports import LeadImport
from calls.models.lead import Lead, LeadList, LeadPhone, LeadStatus, NextAction, Note, PhoneState, ZoneSource
from calls.models.transcript import Transcript
from calls.models.webhook_event import LiveTranscript, SignatureRefusal, WebhookEvent

__all__ = [
    "AnsweredBy",
    "ApiKey",
    "Call",
    "CallBack",
    "CallBatch",
    "CallRequest",
    "CallStatus",
    "Direction",
    "Disposition",
    "DoNotCall",
    "Gate",
    "Heartbeat",
    "Lead",
    "LeadImport",
    "LeadList",
    "LeadPhone",
    "LeadStatus",
    "LiveTranscript",
    "NextAction",
    "Note",
    "Outcome",
    "PhoneState",
    "Priority",
    "Sentiment",
    "SignatureRefusal",
    "Transcript",
    "Via",
    "WebhookEvent",
    "ZoneSource",
]
