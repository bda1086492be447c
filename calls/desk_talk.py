"""What one of us does with a call without AI while it is on: hold, keys, a colleague, a message left.

Nothing here rings or holds anybody by itself. A row says where the call is to be; then their telephone is
told, by one request, to ask us what it shall hear (`webhooks.desk_talk`); ours asks by itself. It is never
told: sent away from a conference just when it has joined, it would end that for both. The conference begins
with the first of these: until then the phone company has connected the two itself.

A person asked for exactly that, so the request waits for the phone company, with no transaction open. What
was asked for is written down before it goes out. After an unclear answer it counts as done and nothing is
sent again: whoever calls hears which it was, and can have them back from everywhere (`off_hold`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _later

from agents.providers.base import Provider, ProviderError, Unclear
from agents.providers.registry import get_provider
from callcenter.connections import hand_back
from calls.dialer import why_not_ours
from calls.models import (
    Call,
    CallStatus,
    DeskAction,
    DeskActionKind,
    DeskState,
    DeskTalk,
    StaffPhone,
    VoicemailMessage,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = structlog.get_logger(__name__)

MOST_KEYS = 32
KEYS = frozenset("0123456789*#w")
"""w: half a second's wait."""
A_WORD = timedelta(seconds=0.4)
TALKING = (DeskState.BRIDGED, DeskState.ROOM)
UNDER_WAY = timedelta(seconds=5)
LOST_AFTER = timedelta(seconds=15)
"""Whoever has not arrived in the conference by then may be sent elsewhere."""
GIVEN_UP_AFTER = timedelta(minutes=2)
"""Whoever calls waits no longer for them to arrive, nor to be brought to a colleague who has taken it."""
LEFT_ALONE_AFTER = timedelta(seconds=10)
LOOKED_AT_FOR = timedelta(hours=3)


class NotPossible(Exception):
    """Not with this call, or not at this moment; the text says why, and nothing was done."""


def hold(call: Call, *, by: User, now: datetime) -> DeskAction:
    """They hear that they are to wait; whoever calls hears nothing of them."""
    return _send(call, DeskActionKind.HOLD, to=DeskState.HOLD, of=TALKING, by=by, now=now)


def off_hold(call: Call, *, by: User, now: datetime) -> DeskAction:
    """Off hold, or back from a colleague's telephone that rings."""
    away = (DeskState.HOLD, DeskState.COLLEAGUE)
    return _send(call, DeskActionKind.OFF_HOLD, to=DeskState.COMING, of=away, by=by, now=now)


def press(call: Call, keys: str, *, by: User, now: datetime) -> DeskAction:
    """Keys towards their side, for a menu there: they are out of the talk for as long as that takes."""
    pressed = "".join(keys.split())
    if not pressed or len(pressed) > MOST_KEYS or not KEYS.issuperset(pressed):
        raise NotPossible(
            _("Press 0 to 9, * or #, at most %(most)d of them; w waits half a second.") % {"most": MOST_KEYS}
        )
    return _send(
        call,
        DeskActionKind.KEYS,
        to=DeskState.COMING,
        of=TALKING,
        by=by,
        now=now,
        keys=pressed,
        about={"keys": len(pressed)},
    )


def transfer(call: Call, colleague: User, *, by: User, now: datetime) -> DeskAction:
    """The colleague's telephone is rung for them; who pressed 1 there has the call.

    Whoever calls may stay on the line until then, or leave; where nobody takes it they come back.
    """
    number = phone_of(colleague)
    if not number or colleague.pk == by.pk:
        raise NotPossible(_("Choose a colleague who has said at which telephone they are rung."))
    if why_not := why_not_ours(number):
        raise NotPossible(why_not)
    if number == call.desk_number or Call.objects.filter(desk_number=number).open().exists():
        raise NotPossible(_("%(who)s is on the telephone.") % {"who": colleague.get_full_name() or colleague})
    return _send(
        call,
        DeskActionKind.TRANSFER,
        to=DeskState.COLLEAGUE,
        of=TALKING,
        by=by,
        now=now,
        about={"colleague": colleague, "number": number},
    )


def join(call: Call, *, by: User, now: datetime) -> DeskAction:
    """Whoever called and stayed on the line comes to the two that the colleague made of it: a conference."""
    rung = DeskAction.objects.filter(call=call.pk, kind=DeskActionKind.TRANSFER).last()
    leg_id = rung.leg_id if rung else ""
    of = (DeskState.HANDED_OVER,)
    return _send(call, DeskActionKind.JOIN, to=DeskState.TOGETHER, of=of, by=by, now=now, leg_id=leg_id)


def leave_message(call: Call, *, by: User, now: datetime) -> DeskAction:
    """Their mailbox is told the prepared message and hung up on; whoever calls is free at once."""
    said = message_for(call, by)
    if not said:
        raise NotPossible(_("No message is prepared: a manager writes one under Messages for mailboxes."))
    anywhere = (*TALKING, DeskState.HOLD)
    return _send(
        call, DeskActionKind.MESSAGE, to=DeskState.MESSAGE, of=anywhere, by=by, now=now, about={"said": said}
    )


def message_for(call: Call, by: User) -> str:
    """What is said to this call's mailbox; '' where nobody has prepared anything."""
    found = VoicemailMessage.objects.said_by(by)
    if found is None:
        return ""
    name = (call.lead.spoken_name if call.lead else "") or ""
    said = found.text.replace("{name}", name).replace("{caller}", by.get_full_name() or by.get_username())
    return " ".join(said.split())


def phone_of(user: Any) -> str:
    """The telephone at which this person is rung; '' when nobody has asked them yet."""
    return StaffPhone.objects.filter(user=user.pk).values_list("number", flat=True).first() or ""


def is_over(call: Call) -> bool:
    """Ended, or about to be. Who was cancelled and answered before that was obeyed is not cut off."""
    told = call.hang_up_at is not None and call.cancel_requested_at is None
    return told or call.status == CallStatus.ENDED


def hear_the_notice(call: Call, *, now: datetime) -> bool:
    """They have just picked up, and are told that the call is recorded."""
    words = len(settings.RECORDING_NOTICE.split())
    return bool(words and call.answered_at and now < call.answered_at + A_WORD * (words + 2))


def state_of(call: Call) -> DeskState:
    found = DeskTalk.objects.filter(call=call.pk).values_list("state", flat=True).first()
    return DeskState(found) if found else DeskState.BRIDGED


def _send(
    call: Call,
    kind: DeskActionKind,
    *,
    to: DeskState,
    of: Collection[DeskState],
    by: User,
    now: datetime,
    keys: str = "",
    leg_id: str = "",
    about: dict[str, Any] | None = None,
) -> DeskAction:
    """Their telephone is told to ask, or with `leg_id` the colleague's; it finds the call in the state `to`.

    Raises NotPossible, which leaves no trace, and ProviderError, which is kept.
    """
    with transaction.atomic():
        on = _locked(call, now=now)
        talk, _new = DeskTalk.objects.get_or_create(call=on, defaults={"since": now})
        under_way = DeskAction.objects.filter(call=on.pk, done_at=None, problem="")
        if under_way.filter(at__gt=now - UNDER_WAY).exists():
            # Sent away twice at once they would enter the conference and leave it, which ends it for ours.
            raise NotPossible(_("Something else is just being done: try again in a moment."))
        lost = talk.state == DeskState.COMING and now > talk.since + LOST_AFTER
        if talk.state not in of and not lost:
            raise NotPossible(str(WHY_NOT_NOW[DeskState(talk.state)]))
        action = DeskAction.objects.create(call=on, user=by, kind=kind, at=now, **(about or {}))
        DeskTalk.objects.filter(pk=on.pk).update(state=to, since=now, joined=False)
    hand_back()
    try:
        provider = get_provider(on.provider)
        if leg_id:
            provider.move_colleague(leg_id, call_uuid=str(on.pk))
        else:
            provider.move_theirs(on.provider_call_id, call_uuid=str(on.pk), keys=keys)
    except Unclear:
        if not DeskAction.objects.filter(pk=action.pk, done_at__isnull=False).exists():
            raise
    except ProviderError as error:
        _not_done(action, talk, to=to, why=error.message)
        raise
    return action


def _locked(call: Call, *, now: datetime) -> Call:
    """The call, if somebody of ours and they are on the line. Raises NotPossible."""
    on = Call.objects.select_for_update(of=("self",)).filter(pk=call.pk).exclude(desk_number="").first()
    if on is None:
        raise NotPossible(_("An AI agent holds this conversation."))
    if is_over(on):
        raise NotPossible(_("The call is over."))
    if on.desk_ended_at is not None:
        raise NotPossible(_("The telephone from which the call was made was put down."))
    if on.status != CallStatus.IN_PROGRESS or not on.provider_call_id or on.answered_at is None:
        raise NotPossible(_("They are not on the line yet."))
    if hear_the_notice(on, now=now):
        # Cut short it would have been said to nobody, and what comes after it is recorded.
        raise NotPossible(_("They are just hearing that the call is recorded: try again in a moment."))
    return on


WHY_NOT_NOW = {
    DeskState.BRIDGED: _later("They are not on hold."),
    DeskState.HOLD: _later("They are on hold: take them off hold first."),
    DeskState.COMING: _later("They are just being connected again: try again in a moment."),
    DeskState.ROOM: _later("They are not on hold."),
    DeskState.COLLEAGUE: _later("A colleague is being rung: wait until it is taken or not."),
    DeskState.HANDED_OVER: _later("A colleague has the call."),
    DeskState.TOGETHER: _later("A colleague has the call with you."),
    DeskState.MESSAGE: _later("A message is being left: the call is over for you."),
}


def _not_done(action: DeskAction, before: DeskTalk, *, to: DeskState, why: str) -> None:
    """They are where they were."""
    with transaction.atomic():
        DeskAction.objects.filter(pk=action.pk).update(problem=why[:300])
        DeskTalk.objects.filter(pk=before.pk, state=to, since=action.at).update(
            state=before.state, since=before.since, joined=before.joined
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a telephone that asks is to be told by."""

    call: Call
    state: DeskState
    since: datetime
    over: bool
    """For the telephone that asks, if not for both."""
    alone: bool
    """Ours was put down."""
    rung: DeskAction | None
    """By which a colleague is rung, or was."""
    left: DeskAction | None
    """By which a message is left."""

    @property
    def colleague(self) -> str:
        who = self.rung.colleague if self.rung else None
        return (who.get_full_name() or who.get_username()) if who else _("A colleague")


def theirs_asks(call_id: UUID | None, *, now: datetime) -> Asked | None:
    """Their telephone has left what it was in: it was done. None: nothing of the kind is known."""
    with transaction.atomic():
        asked = _asked(call_id)
        if asked is None or asked.over:
            return asked
        DeskAction.objects.filter(call=asked.call.pk, done_at=None, problem="").update(done_at=now)
        if asked.state in (DeskState.COMING, DeskState.BRIDGED):
            _put(asked, DeskState.ROOM, now=now)
            return replace(asked, state=DeskState.ROOM)
    return asked


def ours_asks(call_id: UUID | None, *, after: bool, now: datetime) -> Asked | None:
    """The telephone of whoever calls asks; `after`: what it was connected to is over for it.

    Into the conference it is sent after theirs, once: asking again from there says that they are gone.
    """
    with transaction.atomic():
        asked = _asked(call_id)
        if asked is None or asked.over:
            return asked
        if asked.state == DeskState.BRIDGED:
            return replace(asked, over=True)
        if asked.state in (DeskState.COMING, DeskState.HANDED_OVER):
            return replace(asked, over=now > asked.since + GIVEN_UP_AFTER)
        if asked.state in (DeskState.ROOM, DeskState.TOGETHER):
            joins = DeskTalk.objects.filter(pk=asked.call.pk, joined=False).update(joined=True)
            return replace(asked, over=after and not joins)
    return asked


def colleague_asks(call_id: UUID | None, *, now_in: DeskState) -> Asked | None:
    """The colleague's telephone asks, which means something in that state alone."""
    with transaction.atomic():
        asked = _asked(call_id)
    return replace(asked, over=asked.over or asked.state != now_in) if asked else None


def taken(call_id: UUID | None, *, leg_id: str, now: datetime) -> bool:
    """The colleague pressed 1. False: too late. Told twice it is done once."""
    with transaction.atomic():
        asked = _asked(call_id)
        if asked is None or asked.over or asked.rung is None:
            return False
        if asked.state != DeskState.COLLEAGUE:
            return asked.state == DeskState.HANDED_OVER and asked.rung.leg_id == leg_id
        DeskAction.objects.filter(pk=asked.rung.pk).update(taken_at=now, leg_id=leg_id[:40])
        _put(asked, DeskState.HANDED_OVER, now=now)
    return True


def back(call_id: UUID | None, *, now: datetime) -> Asked | None:
    """Their telephone is no longer with a colleague's: nobody took it, or the talk there is over."""
    with transaction.atomic():
        asked = _asked(call_id)
        if asked is not None and asked.state == DeskState.HANDED_OVER:
            return replace(asked, over=True)
        if asked is not None and asked.rung is not None and asked.state == DeskState.COLLEAGUE:
            DeskAction.objects.filter(pk=asked.rung.pk).update(problem=_("Nobody took it."))
            _put(asked, DeskState.COMING, now=now)
    return theirs_asks(call_id, now=now)


def _asked(call_id: UUID | None) -> Asked | None:
    """As the call is now; what it says holds until the transaction ends."""
    rows = Call.objects.select_related("lead", "requested_by").exclude(desk_number="")
    call = rows.filter(pk=call_id).first() if call_id else None
    if call is None:
        return None
    talk = DeskTalk.objects.select_for_update().filter(pk=call.pk).first()
    did = {one.kind: one for one in DeskAction.objects.filter(call=call.pk).select_related("colleague")}
    return Asked(
        call=call,
        state=DeskState(talk.state) if talk else DeskState.BRIDGED,
        since=talk.since if talk else call.requested_at,
        over=is_over(call),
        alone=call.desk_ended_at is not None,
        rung=did.get(DeskActionKind.TRANSFER),
        left=did.get(DeskActionKind.MESSAGE),
    )


def _put(asked: Asked, state: DeskState, *, now: datetime) -> None:
    DeskTalk.objects.filter(pk=asked.call.pk).update(state=state, since=now, joined=False)


def free_ours(provider: Provider, *, now: datetime) -> bool:
    """Hang up one telephone of ours that was left alone in a conference. True: maybe more.

    Theirs ends the conference with it wherever they meet; what is left is that they hung up between being
    sent there and arriving.
    """
    alone = DeskTalk.objects.filter(
        joined=True,
        since__gte=now - LOOKED_AT_FOR,
        call__provider=provider.name,
        call__status=CallStatus.ENDED,
        call__ended_at__lte=now - LEFT_ALONE_AFTER,
        call__desk_ended_at=None,
    )
    talk = alone.select_related("call").first()
    if talk is None or not DeskTalk.objects.filter(pk=talk.pk, joined=True).update(joined=False):
        return False
    hand_back()
    try:
        provider.hang_up(talk.call.provider_call_id)
    except ProviderError as error:
        # Its longest time ends it at the latest.
        log.warning("our own telephone could not be hung up", call=str(talk.pk), why=error.message)
    return True
