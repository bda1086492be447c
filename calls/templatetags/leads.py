"""How the leads desk writes numbers, clocks and calls. Everything returned is text and is escaped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.contrib.auth.models import AbstractUser
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents import phone
from calls.admin import words
from calls.eligibility import Decision, Reason
from calls.models import Call, CallStatus, Direction

register = template.Library()


@register.filter
def pretty_number(e164: str) -> str:
    return phone.pretty(e164) if e164 else ""


@register.filter
def staff_name(user: AbstractUser | None) -> str:
    """First and last name, else the login; empty for nobody."""
    return (user.get_full_name() or user.get_username()) if user else ""


@register.filter
def clock(moment: datetime) -> str:
    """Hours and minutes in the zone that `moment` carries: another person's clock, not the reader's."""
    return moment.strftime("%H:%M")


@register.filter
def opening(moment: datetime) -> str:
    """As `clock`, with the day when it is not today there."""
    today = timezone.now().astimezone(moment.tzinfo).date()
    if moment.date() == today:
        return clock(moment)
    if moment.date() == today + timedelta(days=1):
        return _("tomorrow %(time)s") % {"time": clock(moment)}
    return f"{date_format(moment, 'D j M')} {clock(moment)}"


@register.filter
def ago(moment: datetime) -> str:
    """Near the present in words, else the day."""
    passed = timezone.now() - moment
    if passed < timedelta(minutes=1):
        return _("just now")
    if passed < timedelta(hours=1):
        minutes = passed // timedelta(minutes=1)
        return ngettext("%(count)d minute ago", "%(count)d minutes ago", minutes) % {"count": minutes}
    here = timezone.localtime(moment)
    days = (timezone.localdate() - here.date()).days
    if days == 0:
        return _("today %(time)s") % {"time": clock(here)}
    if days == 1:
        return _("yesterday %(time)s") % {"time": clock(here)}
    if days < 7:
        return date_format(here, "D H:i")
    return date_format(here, "j M Y" if here.year != timezone.localdate().year else "j M")


@register.filter
def talk_time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    seconds = milliseconds // 1000
    return f"{seconds // 60}:{seconds % 60:02d}"


@register.filter
def what_it_is(call: Call) -> str:
    """Who called whom, or that it has not come to that."""
    if call.direction == Direction.INBOUND:
        return _("They rang us")
    if call.test:
        return _("Test call")
    if call.sent_at or call.placed_at or call.provider_call_id:
        return _("We called")
    return _("Not called") if call.status == CallStatus.ENDED else _("To be called")


@register.filter
def how_it_went(call: Call) -> str:
    """What it meant, else how it ended, else where it is."""
    if call.meaning:
        return str(Call(disposition=call.meaning).get_disposition_display())
    if call.status == CallStatus.ENDED:
        return str(call.get_outcome_display())
    return str(call.get_status_display())


@register.filter
def in_short(decision: Decision) -> str:
    return words.in_short(decision)


@register.filter
def why_never(decision: Decision) -> str:
    """Every reason for which this person may not be called, as sentences."""
    return " ".join(reason.text for reason in decision.reasons if reason.blocks)


@register.filter
def says_so(reason: Reason) -> str:
    return words.says_so(reason)


@register.filter
def pairs(mapping: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names and values. `.items` would find a column that somebody called “items”."""
    return list(mapping.items())
