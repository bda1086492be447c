"""A word to the AI agent, from the page of a call that is on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from agents.providers.abilities import WHY_NOT, Ability
from agents.providers.base import NotOffered, ProviderError
from agents.providers.registry import can
from calls import steering
from calls.models import Call, CallStatus


class CallSteeringViews:
    """Mixed into a ModelAdmin of Call, beside the views of its page."""

    call_or_404: Any
    log_change: Any

    def steer(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        call: Call = self.call_or_404(request, call_id, "calls.steer_call")
        given = _given(request)
        try:
            steering.steer(call, by=request.user, now=timezone.now(), **given)  # type: ignore[arg-type]
        except (NotOffered, ProviderError) as error:
            messages.error(request, _("The AI agent was not told. %(why)s") % {"why": error.message})
        except steering.NotOn as over:
            messages.warning(request, str(over))
        except steering.NothingToSay as problem:
            messages.error(request, str(problem))
        else:
            self.log_change(request, call, "told the AI agent")
            messages.success(request, _("The AI agent was told."))
            return redirect("admin:calls_call_change", call.pk)
        if given["context"]:
            # The page comes anew: what was typed is not lost.
            messages.info(request, _("You wrote: %(text)s") % {"text": given["context"]})
        return redirect("admin:calls_call_change", call.pk)


def _given(request: HttpRequest) -> dict[str, Any]:
    def text(name: str) -> str:
        return request.POST.get(name, "").replace("\x00", "").replace("\r\n", "\n").strip()

    variable = text("variable")
    return {
        "context": text("context"),
        "answer_now": bool(request.POST.get("answer_now")),
        "variables": {variable: text("value")} if variable else {},
    }


def steering_facts(request: HttpRequest, call: Call) -> Mapping[str, Any]:
    """Whether a word can be said now; else, to who might say one, why not."""
    wanted = request.user.has_perm("calls.steer_call") and call.status == CallStatus.IN_PROGRESS
    wanted = wanted and not call.desk_number
    offered = can(Ability.STEER)
    return {
        "may_steer": wanted and offered,
        "why_no_steer": WHY_NOT[Ability.STEER] if wanted and not offered else "",
        "longest_context": steering.LONGEST_CONTEXT,
        "longest_value": steering.LONGEST_VALUE,
    }
