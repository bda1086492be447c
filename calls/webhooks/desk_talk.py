"""What the telephones of a call without AI hear once somebody did something with it, in TwiML.

Theirs, ours and a colleague's each ask by themselves, and are told by where the call is to be
(`calls.desk_talk`). Who waits asks again every few seconds, so that nobody waits for what is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from agents.providers.twilio.callbacks import Callback
from agents.providers.twilio.twiml import LONGEST_SAID, Twiml
from calls import desk_talk
from calls.desk_talk import Asked
from calls.models import DeskState
from calls.webhooks.desk import CONNECT, LONGEST_S, OFFERS, RINGS_S, at, goodbye, name_of

HOLD_S = 8
"""Between two times that who is on hold hears it."""
WAIT_S = 3
SOON_S = 1


def them(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Their telephone was sent away from ours."""
    return _theirs(desk_talk.theirs_asks(about, now=now))


def left(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """The conference is over for theirs: whoever of us was in it has hung up."""
    return _end()


def back(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """What became of ringing a colleague, to theirs."""
    return _theirs(desk_talk.back(about, now=now))


def _theirs(found: Asked | None) -> Twiml:
    answer = Twiml()
    if found is None or found.over:
        return _end()
    call, waits = found.call, found.state in (DeskState.HOLD, DeskState.ROOM)
    if found.alone and waits:
        return goodbye(_("We are sorry, nobody can talk to you at this moment. Goodbye."))
    match found.state:
        case DeskState.HOLD:
            answer.say(_("Please hold the line."))
            answer.pause(HOLD_S)
            answer.redirect(at("desk-them", call.pk))
        case DeskState.ROOM | DeskState.TOGETHER:
            _join(answer, found, action="desk-left", ends_it=True)
        case DeskState.COLLEAGUE if found.rung:
            answer.say(_("One moment please, you are being connected."))
            answer.dial(
                numbers=[found.rung.number],
                caller_id=call.our_number,
                action=at("desk-back", call.pk),
                ring_s=RINGS_S,
                longest_s=LONGEST_S,
                whisper_url=at("desk-take", call.pk),
                record=bool(settings.RECORDING_NOTICE),
            )
        case DeskState.MESSAGE if found.left:
            # A mailbox whose tone is just over would swallow the first word.
            answer.pause(1)
            answer.say(found.left.said[:LONGEST_SAID])
            answer.hang_up()
        case _:
            return _end()
    return answer


def after(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Theirs is no longer connected with ours: over, never picked up, or sent elsewhere."""
    found = desk_talk.ours_asks(about, after=True, now=now)
    if found is not None and not found.over:
        return _ours(found, first=True)
    said = {
        "busy": _("The line is busy."),
        "no-answer": _("Nobody picked up."),
        "failed": _("The number could not be reached."),
        "canceled": _("The call was cancelled."),
    }
    return goodbye(said.get(asked.dialled_status, _("The call is over.")))


def us(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Ours waits, or was sent for."""
    found = desk_talk.ours_asks(about, after=False, now=now)
    if found is None or found.over:
        return goodbye(_("The call is over."))
    return _ours(found, first=False)


def _ours(found: Asked, *, first: bool) -> Twiml:
    answer = Twiml()
    match found.state:
        case DeskState.ROOM | DeskState.TOGETHER:
            # With a colleague there it goes on when whoever called first leaves.
            _join(answer, found, action="desk-after", ends_it=found.state == DeskState.ROOM)
            return answer
        case DeskState.MESSAGE:
            return goodbye(_("Your message is being left. Goodbye."))
        case DeskState.HOLD:
            said, wait_s = _("They are on hold."), WAIT_S
        case DeskState.COLLEAGUE:
            said, wait_s = _("%(who)s is being rung.") % {"who": found.colleague}, WAIT_S
        case DeskState.HANDED_OVER:
            answer.say(_("%(who)s has taken the call. You may hang up.") % {"who": found.colleague})
            said, wait_s = "", 3 * WAIT_S
        case _:
            said, wait_s = "", SOON_S
    if first and said:
        answer.say(said)
    answer.pause(wait_s)
    answer.redirect(at("desk-us", found.call.pk))
    return answer


def take(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """A colleague's telephone was picked up: who presses 1 is connected."""
    found = desk_talk.colleague_asks(about, now_in=DeskState.COLLEAGUE)
    if found is None or found.over:
        return goodbye(_("This call is over."))
    caller = found.call.requested_by
    who = (caller.get_full_name() or caller.get_username()) if caller else _("A colleague")
    offer = _("%(who)s has %(name)s on the line. Press 1 to take the call.") % {
        "who": who,
        "name": name_of(found.call),
    }
    answer = Twiml()
    for _time in range(OFFERS):
        keys = answer.gather(
            action=at("desk-taken", found.call.pk), digits=1, timeout_s=4, even_if_empty=False
        )
        keys.say(offer)
    answer.hang_up()
    return answer


def took(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Something was pressed there. An empty document: they are connected."""
    if asked.digits != CONNECT:
        return take(asked, about, now)
    if desk_talk.taken(about, leg_id=asked.leg_sid, now=now):
        return Twiml()
    return goodbye(_("This call is over."))


def colleague(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Theirs who has taken the call, brought together with whoever called first."""
    found = desk_talk.colleague_asks(about, now_in=DeskState.TOGETHER)
    answer = Twiml()
    if found is None or found.over:
        return goodbye(_("This call is over."))
    _join(answer, found, action="desk-left", ends_it=True)
    return answer


VOICES: Mapping[str, Callable[[Callback, UUID | None, datetime], Twiml]] = {
    "desk-after": after,
    "desk-us": us,
    "desk-them": them,
    "desk-left": left,
    "desk-back": back,
    "desk-take": take,
    "desk-taken": took,
    "desk-colleague": colleague,
}


def _join(answer: Twiml, found: Asked, *, action: str, ends_it: bool) -> None:
    """Into the conference, whose name is the id of the call at the phone company: by it a look-up finds what
    was recorded, and nobody guesses it. Silence until the other is there. Whoever comes first begins it, and
    says whether it is recorded.
    """
    answer.join(
        found.call.provider_call_id,
        action=at(action, found.call.pk),
        ends_it=ends_it,
        wait_url="",
        longest_s=LONGEST_S,
        record=bool(settings.RECORDING_NOTICE),
    )


def _end() -> Twiml:
    answer = Twiml()
    answer.hang_up()
    return answer
