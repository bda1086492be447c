"""Demand: whom to call, when, what happened."""

from calls.models.access import ApiKey
from calls.models.adoption import Adoption, AdoptionCause
from calls.models.batch import CallBatch
from calls.models.call import Call
from calls.models.call_parts import CallRequest, CallStep, StepKind
from calls.models.call_words import (
    AnsweredBy,
    CallStatus,
    Direction,
    Disposition,
    Judgement,
    Outcome,
    Priority,
    Sentiment,
    Via,
)
from calls.models.callback import CallBack, CallBackKind
from calls.models.caps import CapChange, DailyCap
from calls.models.carrier_rate import CarrierRate
from calls.models.comparison import ComparedCall, Comparison
from calls.models.desk_talk import DeskAction, DeskActionKind, DeskState, DeskTalk, VoicemailMessage
from calls.models.do_not_call import DoNotCall
from calls.models.exports import LeadExport, LeadExportPart
from calls.models.fallback import Fallback, FallbackState
from calls.models.gate import Gate, Heartbeat
from calls.models.imports import LeadImport, RefusedPart
from calls.models.interruption import Interruption
from calls.models.lead import Lead, LeadList, LeadPhone, LeadStatus, NextAction, Note, PhoneState, ZoneSource
from calls.models.menu import (
    Menu,
    MenuAction,
    MenuEnd,
    MenuKey,
    MenuPress,
    MenuVisit,
    PlaceKind,
    VoicePlace,
)
from calls.models.number_ramp import NumberRamp, RampPlan
from calls.models.number_standing import NumberStanding, StandingItem, StandingState
from calls.models.provider_check import ProviderCheck
from calls.models.recording import RecordingCopy
from calls.models.staff_phone import StaffPhone
from calls.models.steering import Steering
from calls.models.stop import Stop
from calls.models.transcript import Transcript
from calls.models.webhook_event import LiveTranscript, SignatureRefusal, Speaking, WebhookEvent

__all__ = [
    "Adoption",
    "AdoptionCause",
    "AnsweredBy",
    "ApiKey",
    "Call",
    "CallBack",
    "CallBackKind",
    "CallBatch",
    "CallRequest",
    "CallStatus",
    "CallStep",
    "CapChange",
    "CarrierRate",
    "ComparedCall",
    "Comparison",
    "DailyCap",
    "DeskAction",
    "DeskActionKind",
    "DeskState",
    "DeskTalk",
    "Direction",
    "Disposition",
    "DoNotCall",
    "Fallback",
    "FallbackState",
    "Gate",
    "Heartbeat",
    "Interruption",
    "Judgement",
    "Lead",
    "LeadExport",
    "LeadExportPart",
    "LeadImport",
    "LeadList",
    "LeadPhone",
    "LeadStatus",
    "LiveTranscript",
    "Menu",
    "MenuAction",
    "MenuEnd",
    "MenuKey",
    "MenuPress",
    "MenuVisit",
    "NextAction",
    "Note",
    "NumberRamp",
    "NumberStanding",
    "Outcome",
    "PhoneState",
    "PlaceKind",
    "Priority",
    "ProviderCheck",
    "RampPlan",
    "RecordingCopy",
    "RefusedPart",
    "Sentiment",
    "SignatureRefusal",
    "Speaking",
    "StaffPhone",
    "StandingItem",
    "StandingState",
    "Steering",
    "StepKind",
    "Stop",
    "Transcript",
    "Via",
    "VoicePlace",
    "VoicemailMessage",
    "WebhookEvent",
    "ZoneSource",
]
