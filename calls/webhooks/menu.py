"""What somebody hears who rang a number that leads to a menu, document by document, in TwiML.

The turn stands in the address that a key is sent to, so that a question asked twice is answered the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from uuid import UUID

from django.utils.translation import gettext as _

from agents.providers.twilio.callbacks import Callback
from agents.providers.twilio.calls_in import caller
from agents.providers.twilio.twiml import LONGEST_SAID, Twiml, address
from calls import menus
from calls.menus import Heard
from calls.models import Call, Menu, MenuAction, MenuEnd, MenuVisit
from calls.models.menu import MOST_TRIES

WAITS_S = 6
RINGS_S = 25
LONGEST_S = 3600
LONGEST_MESSAGE_S = 180
TAKES = "1"

Voice = Callable[[Callback, UUID | None, datetime], Twiml]


def welcome(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Somebody rings. `about` is the menu."""
    if about is None:
        return _gone()
    call, menu = menus.enter(
        about,
        counterpart=caller(asked),
        our_number=asked.to_number,
        provider_call_id=asked.leg_sid,
        now=now,
    )
    answer = Twiml()
    if menu is None:
        answer.say(_("Nobody can be reached at this number. Goodbye."))
        answer.hang_up()
        return answer
    _offer(answer, call, menu, turn=1, before=menu.greeting)
    return answer


def key(asked: Callback, about: UUID | None, now: datetime, *, turn: int) -> Twiml:
    """Something was pressed, or nothing."""
    heard = menus.press(about, turn=turn, key=asked.digits, now=now) if about else None
    if heard is None:
        return _gone()
    answer = Twiml()
    if heard.again:
        _offer(answer, heard.call, heard.menu, turn=turn + 1, before=heard.say)
    elif heard.action in (MenuAction.AGENT, MenuAction.DESK):
        answer.dial(
            numbers=[heard.number],
            caller_id="",
            action=_at("menu-after", heard.call.pk),
            ring_s=RINGS_S,
            longest_s=LONGEST_S,
            # A machine of ours that picks up is not to be connected; an AI agent is meant to be.
            whisper_url=_at("menu-take", heard.call.pk) if heard.action == MenuAction.DESK else "",
        )
    else:
        _end(answer, heard)
    return answer


def after(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Whoever was rung has hung up, or was never reached."""
    visit = _visit(about)
    if visit is None or visit.menu is None:
        return _gone()
    answer = Twiml()
    if asked.was_bridged:
        answer.hang_up()
    else:
        _end(answer, menus.unanswered(visit.call, visit.menu))
    return answer


def take(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """A telephone of ours was picked up, by somebody or by a mailbox."""
    call = Call.objects.select_related("lead").filter(pk=about).first() if about else None
    answer = Twiml()
    if call is not None:
        keys = answer.gather(
            action=_at("menu-taken", call.pk), digits=1, timeout_s=WAITS_S, even_if_empty=False
        )
        who = call.lead.spoken_name if call.lead else ""
        keys.say(_("A call from %(who)s. Press 1 to take it.") % {"who": who or call.counterpart_shown})
    answer.hang_up()
    return answer


def taken(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Nothing more to hear connects the two."""
    answer = Twiml()
    if asked.digits != TAKES:
        answer.hang_up()
    return answer


def left(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """A message was left."""
    visit = _visit(about)
    answer = Twiml()
    answer.say(visit.menu.goodbye if visit and visit.menu else _("Thank you. Goodbye."))
    answer.hang_up()
    return answer


FIRST = "menu"
"""Alone among these it is not about a call."""
VOICES: Mapping[str, Voice] = {
    FIRST: welcome,
    **{f"menu-key-{turn}": partial(key, turn=turn) for turn in range(1, MOST_TRIES + 1)},
    "menu-after": after,
    "menu-take": take,
    "menu-taken": taken,
    "menu-left": left,
}


def _offer(answer: Twiml, call: Call, menu: Menu, *, turn: int, before: str) -> None:
    keys = answer.gather(action=_at(f"menu-key-{turn}", call.pk), digits=1, timeout_s=WAITS_S)
    keys.say(f"{before} {menus.offers(menu)}".strip()[:LONGEST_SAID])


def _end(answer: Twiml, heard: Heard) -> None:
    if heard.say:
        answer.say(heard.say)
    if heard.end == MenuEnd.MESSAGE:
        answer.say(heard.menu.notice)
        answer.record(
            action=_at("menu-left", heard.call.pk),
            longest_s=LONGEST_MESSAGE_S,
            callback=address(f"/webhook/twilio/status/{heard.call.pk}"),
        )
        # Twilio goes on here where nothing was said.
    answer.say(heard.menu.goodbye)
    answer.hang_up()


def _visit(about: UUID | None) -> MenuVisit | None:
    known = MenuVisit.objects.select_related("call", "menu")
    return known.filter(pk=about).first() if about else None


def _gone() -> Twiml:
    answer = Twiml()
    answer.say(_("This call is not known any more. Goodbye."))
    answer.hang_up()
    return answer


def _at(script: str, call_id: UUID) -> str:
    return address(f"/webhook/twilio/voice/{script}/{call_id}")
