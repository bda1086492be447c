"""What was done instead of a call that the phone company did not make, told on the pages of both."""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import reverse
from django.utils.translation import gettext as _

from agents.models import WhenRefused
from calls.admin.call_step import Step
from calls.models import Call, CallBack, CallBackKind, Fallback, FallbackState


def instead(call: Call) -> Iterator[Step]:
    """Of the one that was not made: what was done about it. Of one made instead: of which."""
    row = Fallback.objects.select_related("made", "task").filter(call=call).first()
    if row is not None:
        yield _done(row)
    else:
        for task in CallBack.objects.filter(promised_in=call, kind=CallBackKind.TASK):
            text = _("A person got a task: %(state)s") % {"state": task.state_shown}
            yield Step(task.created_at, "task_alt", text, task.note, link=_of(task), link_text=_("The task"))
    for other in Fallback.objects.select_related("call__agent").filter(made=call):
        agent = other.call.agent
        yield Step(
            call.requested_at,
            "alt_route",
            _("Made instead of a call by %(agent)s") % {"agent": agent.name if agent else _("an AI agent")},
            other.why,
            link=_page(other.call),
            link_text=_("The call that was not made"),
        )


def _done(row: Fallback) -> Step:
    if row.state == FallbackState.DUE:
        text = (
            _("Whoever asked is about to be rung instead")
            if row.wanted == WhenRefused.DESK
            else _("A person is about to get a task instead")
        )
        return Step(row.decided_at, "alt_route", text, row.why)
    if row.made is not None:
        text = _("Whoever asked is rung instead, to make the call")
        return Step(
            row.done_at,
            "alt_route",
            text,
            row.why,
            link=_page(row.made),
            link_text=_("The call made instead"),
        )
    if row.task is not None:
        text = _("A person got a task instead: %(state)s") % {"state": row.task.state_shown}
        detail = row.note or row.why
        return Step(row.done_at, "alt_route", text, detail, link=_of(row.task), link_text=_("The task"))
    return Step(row.done_at, "alt_route", _("Nothing was done instead"), row.note)


def _of(task: CallBack) -> str:
    return reverse("admin:calls_callback_change", args=[task.pk])


def _page(call: Call) -> str:
    return reverse("admin:calls_call_change", args=[call.pk])
