"""Short words for a decision's reasons where a sentence does not fit. The sentences are eligibility's."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calls.eligibility import Decision, Reason, Verdict

REASONS: dict[str, Any] = {
    "do_not_call": gettext_lazy("do-not-call"),
    "no_number": gettext_lazy("no number"),
    "wrong_number": gettext_lazy("wrong number"),
    "invalid_number": gettext_lazy("invalid number"),
    "on_the_phone": gettext_lazy("on the phone with us"),
    "unknown_time_zone": gettext_lazy("time zone not known"),
    "agent_inactive": gettext_lazy("AI agent may not call"),
    "agent_not_ready": gettext_lazy("AI agent not ready"),
    "no_caller_id": gettext_lazy("no number to call from"),
    "needs_a_look": gettext_lazy("last call needs a look"),
    "stopped": gettext_lazy("calling is stopped"),
    "outside_hours": gettext_lazy("outside calling hours"),
    "waiting": gettext_lazy("waiting already"),
}

SAYS_SO: dict[str, Any] = {
    "no_number": gettext_lazy("Says the lead."),
    "wrong_number": gettext_lazy("Says the lead: somebody else answered, or a person marked it."),
    "invalid_number": gettext_lazy("Say the rules for telephone numbers."),
    "do_not_call": gettext_lazy("Says the do-not-call list."),
    "on_the_phone": gettext_lazy("Says the call that is on."),
    "waiting": gettext_lazy("Says the queue."),
    "needs_a_look": gettext_lazy("Says the last call."),
    "outside_hours": gettext_lazy("Say the calling hours set for this house, on the clock there."),
    "unknown_time_zone": gettext_lazy("Says the number, which tells no zone, and the lead, which has none."),
    "agent_inactive": gettext_lazy("Says the AI agent."),
    "agent_not_ready": gettext_lazy("Says the AI agent's readiness card."),
    "no_caller_id": gettext_lazy("Says the AI agent."),
    "stopped": gettext_lazy("Says whoever stopped all calling."),
}


def says_so(reason: Reason) -> str:
    """Who or what a reason comes from."""
    return str(SAYS_SO.get(reason.code, reason.source))


def in_short(decision: Decision) -> str:
    """The weightiest reason in two or three words."""
    if decision.verdict == Verdict.NOW:
        return str(REASONS["waiting"]) if decision.reasons else _("now")
    weighty = sorted(decision.reasons, key=lambda reason: (not reason.blocks, reason.code == "waiting"))
    return str(REASONS.get(weighty[0].code, weighty[0].text)) if weighty else ""
