"""What a call's page tells: its timeline in staff's words, and the conversation line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _later
from django.utils.translation import ngettext

from agents import phone
from agents.providers.base import Fault
from calls.admin.call_instead import instead
from calls.admin.call_pressed import picked_up_by_us, pressed
from calls.admin.call_step import Step
from calls.admin.call_while_on import at_the_desk, interruptions, words_to_the_agent
from calls.admin.formats import talk
from calls.dialer import Waiting
from calls.models import (
    AnsweredBy,
    Call,
    CallBack,
    CallBackKind,
    CallRequest,
    CallStatus,
    Direction,
    DoNotCall,
    LiveTranscript,
    Transcript,
    Via,
)
from calls.models.call_words import DESK_PROVIDER

FURTHEST = 24
"""Characters that may lie between two words; a word found further on is another of the same letters."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line; `spoken` when it is a word whose time is known."""

    text: str
    spoken: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One thing said. Seconds of audio; None when nobody knows when it was said."""

    role: str
    speaker: str
    pieces: Sequence[Piece]
    start_s: float | None = None
    end_s: float | None = None
    words: Sequence[tuple[float, float]] = field(default=())

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def clock(self) -> str:
        return clock(self.start_s) if self.start_s is not None else ""

    @property
    def times(self) -> dict[str, Any]:
        """What the player needs to know of it."""
        return {"role": self.role, "start": self.start_s, "end": self.end_s, "words": list(self.words)}


OUR_TELEPHONE = {
    "desk completed": _later("Nobody pressed 1 on our own telephone, so they were not called."),
    "desk no-answer": _later("Our own telephone was not picked up, so they were not called."),
    "desk busy": _later("Our own telephone was busy, so they were not called."),
    "desk canceled": _later("It was cancelled before our own telephone was picked up: they were not called."),
    "desk failed": _later("Our own telephone could not be reached, so they were not called."),
}
"""How a call that a person was to make ended before it was one, by the reason kept with it."""


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def conversation(call: Call) -> list[Line]:
    """The transcript; while the call lives, what has been said so far."""
    kept = Transcript.objects.filter(call=call).first()
    if kept is not None and kept.turns:
        return lines(kept.turns, call)
    if kept is not None and kept.text:
        return [_plain(row, call) for row in kept.text.splitlines() if row.strip()]
    live = None
    if call.provider_call_id:
        live = LiveTranscript.objects.filter(pk=call.provider_call_id).first()
    live = live or LiveTranscript.objects.filter(call_uuid=call.pk).first()
    return lines(live.turns, call) if live else []


def lines(turns: Sequence[dict[str, Any]], call: Call) -> list[Line]:
    found = []
    for turn in turns:
        content, role = str(turn.get("content") or ""), str(turn.get("role") or "")
        if not content.strip():
            continue
        if turn.get("partial"):
            content += " …"
        words = [word for word in turn.get("words") or () if len(word) == 3]
        pieces, times = _aligned(content, words)
        found.append(Line(role, speaker(role, call), pieces, turn.get("start_s"), turn.get("end_s"), times))
    return found


def _aligned(content: str, words: Sequence[Sequence[Any]]) -> tuple[list[Piece], list[tuple[float, float]]]:
    """Find each timed word in the text as it is written; what is not found stays plain."""
    pieces: list[Piece] = []
    times: list[tuple[float, float]] = []
    lowered, at = content.lower(), 0
    if len(lowered) != len(content):
        # Letters that change length with their case would shift every mark.
        lowered = content
    for raw, start, end in words:
        word = str(raw).strip().lower()
        found = lowered.find(word, at) if word else -1
        if found < 0 or found - at > FURTHEST:
            continue
        if found > at:
            pieces.append(Piece(content[at:found]))
        at = found + len(word)
        pieces.append(Piece(content[found:at], spoken=True))
        times.append((float(start), float(end)))
    if at < len(content):
        pieces.append(Piece(content[at:]))
    return pieces, times


def _plain(row: str, call: Call) -> Line:
    """A line of a transcript that came as text only: `Agent: ...`."""
    who, colon, said = row.partition(":")
    role = who.strip().lower()
    if colon and role in {"agent", "user"}:
        return Line(role, speaker(role, call), [Piece(said.strip())])
    return Line("", "", [Piece(row)])


def speaker(role: str, call: Call) -> str:
    if role == "agent":
        return call.agent.name if call.agent else _("AI agent")
    if role == "user":
        if call.lead:
            return call.lead.name
        return phone.pretty(call.counterpart) if call.counterpart else _("Caller")
    if role == "transfer_target":
        return _("Transferred to")
    if role == "tool":
        return _("The AI agent did")
    return role


def timeline(call: Call, *, waits: Waiting | None) -> list[Step]:
    """Everything that happened, oldest first; what is going on now comes last."""
    steps = [
        *_asked(call),
        *_placed(call),
        *pressed(call),
        *interruptions(call),
        *words_to_the_agent(call),
        *at_the_desk(call),
        *_ended(call),
        *instead(call),
        *_afterwards(call),
    ]
    dated = sorted(
        (step for step in steps if step.at), key=_told_at if call.provider == DESK_PROVIDER else _at
    )
    return [*dated, *_now(call, waits)]


def _at(step: Step) -> datetime:
    assert step.at is not None
    return step.at


def _told_at(step: Step) -> datetime:
    """Twilio tells whole seconds: within one, the order is that of the steps."""
    return _at(step).replace(microsecond=0)


def _asked(call: Call) -> Iterator[Step]:
    requests = (
        CallRequest.objects.filter(call=call)
        .select_related("user", "api_key", "batch")
        .order_by("requested_at")
    )
    for number, request in enumerate(requests):
        who = request.user or request.api_key or ""
        named = str(getattr(who, "get_full_name", lambda: "")() or who)
        text = {
            Via.DESK: _("Asked for by %(who)s"),
            Via.API: _("Asked for by another system, %(who)s"),
            Via.CALL_BACK: _("Due: a call-back was promised"),
            Via.TEST: _("Test call asked for by %(who)s"),
            Via.FALLBACK: _("The phone company did not make a call that %(who)s had asked for"),
        }.get(Via(request.via), _("Asked for by %(who)s"))
        if number:
            text = _("Asked for again by %(who)s: still one call")
        detail = _("In a batch") if request.batch_id else ""
        yield Step(
            request.requested_at,
            "person_add" if number else "person",
            text % {"who": named or _("someone")},
            detail,
        )
    if call.direction == Direction.OUTBOUND and call.not_now_count:
        yield Step(
            call.requested_at,
            "hourglass",
            _("Put back: the phone company had no room (%(count)d times)") % {"count": call.not_now_count},
            call.not_now_reason,
        )


def _placed(call: Call) -> Iterator[Step]:
    if call.direction == Direction.INBOUND:
        yield Step(
            call.placed_at or call.requested_at,
            "call_received",
            _("They rang %(number)s") % {"number": phone.pretty(call.our_number)},
        )
    else:
        yield Step(call.sent_at, "outgoing_mail", _("Sent to the phone company"))
        if call.replayed_at:
            yield Step(
                call.replayed_at, "replay", _("Asked again for the same call: at most one phone rings")
            )
        if call.desk_number:
            ours = phone.pretty(call.desk_number)
            yield Step(
                call.placed_at, "ring_volume", _("Our telephone is rung: %(number)s") % {"number": ours}
            )
            yield Step(call.let_through_at, "dialpad", _("1 was pressed: they are called"), _there(call))
            yield Step(call.ringing_at, "call_made", _("Their telephone rings"), ring_time(call))
        else:
            yield Step(call.placed_at, "call_made", _("The phone company is calling"), _there(call))
    yield Step(call.answered_at, "phone_in_talk", _picked_up(call))
    if call.cancel_requested_at:
        yield Step(call.cancel_requested_at, "cancel", _("Cancelled"), call.cancel_reason)
    elif call.hang_up_at:
        # Once the phone company was told, the column holds when to tell it again.
        told = min(call.hang_up_at, call.ended_at or call.updated_at)
        yield Step(told, "call_end", _("Told to hang up"), call.cancel_reason)


def ring_time(call: Call) -> str:
    """How long theirs rang, where that is told."""
    until = call.answered_at or call.ended_at
    if call.ringing_at is None or until is None:
        return ""
    seconds = max(0, round((until - call.ringing_at).total_seconds()))
    return ngettext("For %(s)d second", "For %(s)d seconds", seconds) % {"s": seconds}


def _there(call: Call) -> str:
    if call.local_hour is None:
        return ""
    return _("Between %(from)02d:00 and %(to)02d:00 there") % {
        "from": call.local_hour,
        "to": (call.local_hour + 1) % 24,
    }


def _picked_up(call: Call) -> str:
    if call.direction == Direction.INBOUND:
        return picked_up_by_us(call)
    return {
        AnsweredBy.PERSON: _("A person picked up"),
        AnsweredBy.MACHINE: _("A machine picked up"),
        AnsweredBy.SCREENING: _("Call screening picked up"),
    }.get(AnsweredBy(call.answered_by) if call.answered_by else AnsweredBy.UNCLEAR, _("Picked up"))


def _ended(call: Call) -> Iterator[Step]:
    if call.transfer_to:
        yield Step(
            call.ended_at or call.answered_at,
            "phone_forwarded",
            _("Transferred to %(to)s") % {"to": call.transfer_to},
        )
    if call.status != CallStatus.ENDED:
        return
    text = _("Ended: %(how)s") % {"how": call.get_outcome_display()}
    if call.duration_ms and call.answered_at:
        text = _("Ended after %(long)s: %(how)s") % {
            "long": talk(call.duration_ms),
            "how": call.get_outcome_display(),
        }
    yield Step(call.ended_at, "call_end", text, said_by_phone_company(call))


def said_by_phone_company(call: Call) -> str:
    """Its own words, kept as they came."""
    if call.fault == Fault.DESK and not call.refusal:
        return str(OUR_TELEPHONE.get(call.disconnection_reason, OUR_TELEPHONE["desk failed"]))
    raw = [part for part in (call.disconnection_reason, call.refusal) if part]
    if not raw:
        return ""
    return _("The phone company said: %(raw)s") % {"raw": "; ".join(raw)}


def _afterwards(call: Call) -> Iterator[Step]:
    if call.analysed_at and not call.desk_number:
        yield Step(call.analysed_at, "auto_awesome", _("The analysis arrived"))
    if call.disposition_at and call.disposition:
        who = call.disposition_by
        yield Step(
            call.disposition_at,
            "label",
            _("Marked “%(meaning)s” by %(who)s")
            % {
                "meaning": call.get_disposition_display(),
                "who": (who.get_full_name() or who) if who else _("someone"),
            },
        )
    if call.judged_at and call.judged:
        who = call.judged_by
        yield Step(
            call.judged_at,
            "visibility",
            _("%(who)s looked at it: %(word)s")
            % {
                "who": (who.get_full_name() or who) if who else _("someone"),
                "word": call.get_judged_display(),
            },
        )
    for promise in CallBack.objects.filter(promised_in=call, kind=CallBackKind.PROMISE):
        when = date_format(localtime(promise.due_at), "j M H:i")
        yield Step(
            promise.created_at,
            "event",
            _("A call-back is promised for %(when)s") % {"when": when},
            promise.get_state_display(),
        )
    for entry in DoNotCall.objects.filter(call=call):
        yield Step(entry.created_at, "do_not_disturb_on", _("Never to be called again"), entry.reason)
    if call.incident:
        yield Step(call.ended_at or call.requested_at, "error", call.incident, kind="bad")


def _now(call: Call, waits: Waiting | None) -> Iterator[Step]:
    if call.status == CallStatus.QUEUED and waits is not None:
        detail = ""
        if waits.place and waits.expected_at:
            detail = _("Number %(place)d in the queue, expected about %(at)s") % {
                "place": waits.place,
                "at": date_format(localtime(waits.expected_at), "H:i"),
            }
        yield Step(None, "hourglass_top", _("Waiting: %(why)s") % {"why": waits.text}, detail, "now")
    elif call.status == CallStatus.UNCONFIRMED:
        yield Step(None, "sync", call.get_status_display(), kind="now")
    elif call.status == CallStatus.IN_PROGRESS:
        yield Step(None, "graphic_eq", _("On the phone"), kind="now")
    elif call.status == CallStatus.PLACED and call.desk_number and call.let_through_at is None:
        yield Step(None, "ring_volume", _("Pick up your telephone, and press 1 to be connected"), kind="now")
    elif call.status != CallStatus.ENDED:
        yield Step(None, "ring_volume", call.get_status_display(), kind="now")
    elif not call.final and call.desk_number and call.provider_call_id:
        yield Step(None, "sync", _("Waiting for the price"), kind="now")
    elif not call.final and call.provider_call_id:
        yield Step(None, "sync", _("Waiting for the analysis"), kind="now")
