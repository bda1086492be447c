"""Somebody is in a menu: their call's row, what they pressed, and what that leads to.

The same question may be asked twice, and has the same answer: a call has its row by the phone company's id,
each time the keys are offered one press.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from agents import phone
from agents.models import Agent, PhoneNumber
from calls import dialer, eligibility
from calls.lifecycle.inbound import new_menu_call
from calls.models import Call, Menu, MenuAction, MenuEnd, MenuKey, MenuPress, MenuVisit, PlaceKind, VoicePlace
from calls.models.do_not_call import DoNotCallSource


@dataclass(frozen=True, slots=True)
class Heard:
    """What follows. `action` '' offers the keys again (`again`, after `say`) or ends (`end`)."""

    call: Call
    menu: Menu
    action: str = ""
    say: str = ""
    number: str = ""
    """To be rung, for AGENT and DESK."""
    again: bool = False
    end: str = ""
    """A MenuEnd."""


def offers(menu: Menu, keys: Iterable[MenuKey] | None = None) -> str:
    """As it is said: "Press 1 to speak with one of us. Press 2 to leave a message."."""
    found = menu.keys.all() if keys is None else keys
    return " ".join(_("Press %(key)d %(words)s.") % {"key": one.key, "words": one.words} for one in found)


def enter(
    menu_id: UUID, *, counterpart: str, our_number: str, provider_call_id: str, now: datetime
) -> tuple[Call, Menu | None]:
    """Somebody rang: their call and the menu; None when that was deleted. `counterpart` '' is withheld."""
    menu = Menu.objects.filter(pk=menu_id).first()
    call = new_menu_call(
        counterpart=counterpart, our_number=our_number, provider_call_id=provider_call_id, now=now
    )
    MenuVisit.objects.get_or_create(call=call, defaults={"menu": menu})
    return call, menu


def press(call_id: UUID, *, turn: int, key: str, now: datetime) -> Heard | None:
    """The keys were offered for the nth time, from 1, and this was pressed ('' nothing). None: no such visit.

    Whoever asks never to be called again has been written down when this returns.
    """
    visit = MenuVisit.objects.select_related("call__lead", "menu").filter(pk=call_id).first()
    if visit is None or visit.menu is None:
        return None
    menu, call = visit.menu, visit.call
    with transaction.atomic():
        pressed, made = MenuPress.objects.get_or_create(
            visit=visit, turn=turn, defaults={"key": key[:8], "pressed_at": now}
        )
        chosen = next(
            (one for one in menu.keys.select_related("agent", "desk") if str(one.key) == pressed.key), None
        )
        heard = _meant(call, menu, chosen, pressed, now=now)
        if made:
            pressed.what, pressed.told = heard.action, _told(pressed, chosen, heard)[:300]
            pressed.save(update_fields=["what", "told"])
    return heard


def _meant(call: Call, menu: Menu, chosen: MenuKey | None, pressed: MenuPress, *, now: datetime) -> Heard:
    if chosen is None:
        sorry = menu.wrong_key if pressed.key else menu.silence
        if pressed.turn < menu.tries:
            return Heard(call, menu, say=sorry, again=True)
        return Heard(call, menu, say=sorry, end=menu.at_end)
    if chosen.what == MenuAction.NEVER:
        return Heard(call, menu, MenuAction.NEVER, say=_opted_out(call, now=now), end=MenuEnd.GOODBYE)
    if chosen.what == MenuAction.MESSAGE:
        return Heard(call, menu, MenuAction.MESSAGE, end=MenuEnd.MESSAGE)
    if chosen.what == MenuAction.DESK and chosen.desk is not None:
        if dialer.why_not_ours(chosen.desk.number):
            return unanswered(call, menu)
        return Heard(call, menu, MenuAction.DESK, number=chosen.desk.number)
    number = agents_number(chosen.agent, but=call.our_number) if chosen.agent else ""
    if number:
        return Heard(call, menu, MenuAction.AGENT, number=number)
    return unanswered(call, menu)


def _opted_out(call: Call, *, now: datetime) -> str:
    """Done, and what is said about it."""
    if not call.counterpart:
        return _(
            "Your number is withheld, so we do not know which one it is. Tell one of us your number, and it "
            "will never be called again."
        )
    eligibility.opt_out(
        call.counterpart,
        reason=_("Pressed a key of our telephone menu: never to be called again."),
        source=DoNotCallSource.CALL,
        now=now,
        lead=call.lead,
        call=call,
    )
    return _("Your number will not be called again.")


def unanswered(call: Call, menu: Menu) -> Heard:
    """Whoever was rung did not pick up, or cannot be rung."""
    return Heard(call, menu, say=_("Nobody can take your call right now."), end=menu.at_end)


def agents_number(agent: Agent, *, but: str = "") -> str:
    """A number of ours that this agent answers, `but` the one that was rung; '' without any.

    Not one that leads to a menu itself: whoever rings could go round in circles.
    """
    to_menus = VoicePlace.objects.filter(kind=PlaceKind.NUMBER, menu__isnull=False)
    answered = PhoneNumber.objects.filter(inbound_agent=agent, gone_since__isnull=True)
    answered = answered.exclude(number=but).exclude(number__in=to_menus.values("name"))
    return answered.order_by("pk").values_list("number", flat=True).first() or ""


def _told(pressed: MenuPress, chosen: MenuKey | None, heard: Heard) -> str:
    """For the timeline."""
    if chosen is None:
        return heard.say
    if heard.action == MenuAction.AGENT and chosen.agent:
        return _("%(agent)s is rung at %(number)s") % {
            "agent": chosen.agent.name,
            "number": phone.pretty(heard.number),
        }
    if heard.action == MenuAction.DESK:
        return _("Our telephone is rung: %(number)s") % {"number": phone.pretty(heard.number)}
    if heard.action == MenuAction.MESSAGE:
        return _("They are asked to leave a message")
    return heard.say
