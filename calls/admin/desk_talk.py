"""Hold, keys, a colleague and a message left, from the page of a call without AI that is on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _later

from agents.providers.base import ProviderError, Unclear
from calls import desk_talk
from calls.models import Call, CallStatus, DeskAction, DeskState

MAY = "calls.place_call"
"""Whoever may call may do this in a call that they see."""
DONE = {
    "hold": _later("They are on hold."),
    "off-hold": _later("They are being connected with you again."),
    "keys": _later("The keys were pressed."),
    "transfer": _later("Your colleague is being rung."),
    "join": _later("You are being connected with both."),
    "message": _later("The message is being left. You are free."),
}


class DeskTalkViews:
    """Mixed into a ModelAdmin of Call, beside the views of its page."""

    call_or_404: Any
    log_change: Any

    def desk_do(self, request: HttpRequest, call_id: UUID, what: str) -> HttpResponse:
        call: Call = self.call_or_404(request, call_id, MAY)
        if what not in VERBS:
            raise Http404
        try:
            VERBS[what](request, call)
        except desk_talk.NotPossible as reason:
            messages.warning(request, str(reason))
        except Unclear as problem:
            told = _("It is not clear whether that was done: listen whether they are there. %(why)s")
            messages.warning(request, told % {"why": problem.message})
        except ProviderError as error:
            messages.error(request, _("That was not done. %(why)s") % {"why": error.message})
        else:
            self.log_change(request, call, what)
            messages.success(request, str(DONE[what]))
        return redirect("admin:calls_call_change", call.pk)


def _colleague(request: HttpRequest) -> User:
    chosen = request.POST.get("colleague", "")
    found = next((one for one in colleagues(request) if str(one.pk) == chosen), None)
    if found is None:
        raise desk_talk.NotPossible(_("Choose a colleague."))
    return found


VERBS: Mapping[str, Callable[[HttpRequest, Call], DeskAction]] = {
    "hold": lambda request, call: desk_talk.hold(call, **_by(request)),
    "off-hold": lambda request, call: desk_talk.off_hold(call, **_by(request)),
    "keys": lambda request, call: desk_talk.press(call, request.POST.get("keys", ""), **_by(request)),
    "transfer": lambda request, call: desk_talk.transfer(call, _colleague(request), **_by(request)),
    "join": lambda request, call: desk_talk.join(call, **_by(request)),
    "message": lambda request, call: desk_talk.leave_message(call, **_by(request)),
}


def _by(request: HttpRequest) -> dict[str, Any]:
    return {"by": request.user, "now": timezone.now()}


def colleagues(request: HttpRequest) -> list[User]:
    """Who has said at which telephone they are rung, but oneself."""
    others = User.objects.filter(is_active=True, is_staff=True, desk_phone__isnull=False)
    return list(others.exclude(pk=request.user.pk or 0).order_by("first_name", "last_name", "username"))


def desk_talk_facts(request: HttpRequest, call: Call, *, now: datetime) -> Mapping[str, Any]:
    """What can be done now with a call without AI, and where it is."""
    on = bool(call.desk_number) and call.status == CallStatus.IN_PROGRESS and request.user.has_perm(MAY)
    if not on or desk_talk.is_over(call):
        return {"desk_on": False}
    state = desk_talk.state_of(call)
    hear_the_notice = desk_talk.hear_the_notice(call, now=now)
    talking = state in desk_talk.TALKING and not hear_the_notice
    here = call.desk_ended_at is None
    said = _("They are hearing that the call is recorded.") if hear_the_notice else DeskState(state).label
    return {
        "desk_on": True,
        "desk_state": said,
        "desk_left": not here,
        "may_hold": here and talking,
        "may_take_back": here and state in (DeskState.HOLD, DeskState.COLLEAGUE),
        "on_hold": state == DeskState.HOLD,
        "may_join": here and state == DeskState.HANDED_OVER,
        "may_leave_message": here and (talking or state == DeskState.HOLD),
        "mailbox_message": desk_talk.message_for(call, request.user),  # type: ignore[arg-type]
        "colleagues": colleagues(request) if here and talking else [],
        "keypad": "123456789*0#",
        "most_keys": desk_talk.MOST_KEYS,
    }
