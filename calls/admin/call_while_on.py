"""What was done with a call while it was on, step by step for its timeline: interruptions, words to the AI
agent, and what one of us did at their telephone.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _later
from django.utils.translation import ngettext

from agents import phone
from calls.admin.call_step import Step
from calls.models import Call, DeskActionKind


def interrupted(call: Call) -> str:
    """How often, and how soon the AI agent was silent; '' for a call without interruptions."""
    found = list(call.interruptions.all())
    if not found:
        return ""
    often = ngettext("%(times)d interruption", "%(times)d interruptions", len(found)) % {"times": len(found)}
    measured = [one.silence_ms for one in found if one.silence_ms is not None]
    if not measured:
        return often
    return _("%(often)s, silent after %(ms)d ms on average") % {
        "often": often,
        "ms": round(sum(measured) / len(measured)),
    }


def interruptions(call: Call) -> Iterator[Step]:
    for one in call.interruptions.all():
        if one.problem:
            text = _("Interrupted: the AI agent could not be told to stop, and finished its sentence")
            yield Step(one.began_at, "record_voice_over", text, one.problem, "bad")
            continue
        silent = ""
        if one.silence_ms is not None:
            silent = _("It was silent after %(ms)d ms") % {"ms": one.silence_ms}
        yield Step(one.began_at, "record_voice_over", _("Interrupted: the AI agent was told to stop"), silent)


def words_to_the_agent(call: Call) -> Iterator[Step]:
    """Each word to the AI agent, by whom, and what became of it."""
    for said in call.steerings.select_related("user", "api_key"):
        who = (said.user.get_full_name() or said.user) if said.user else said.api_key or _("someone")
        if said.problem:
            detail, kind = _("It was not taken: %(why)s") % {"why": said.problem}, "bad"
        else:
            detail, kind = "" if said.taken_at else _("Nobody knows whether it was taken"), "done"
        if said.context:
            text = _("%(who)s told the AI agent: “%(text)s”") % {"who": who, "text": said.context}
        elif said.answer_now:
            text = _("%(who)s let the AI agent answer") % {"who": who}
        if said.context or said.answer_now:
            yield Step(said.said_at, "campaign", text, detail, kind)
        for name, value in said.variables.items():
            if value is None:
                text = _("%(who)s put “%(name)s” back as it was") % {"who": who, "name": name}
            else:
                text = _("%(who)s changed “%(name)s” to “%(value)s”") % {
                    "who": who,
                    "name": name,
                    "value": value,
                }
            yield Step(said.said_at, "edit", text, detail, kind)


DESK_ACTIONS = {
    DeskActionKind.HOLD: ("pause", _later("%(who)s put them on hold")),
    DeskActionKind.OFF_HOLD: ("play_arrow", _later("%(who)s took them back")),
    DeskActionKind.KEYS: ("dialpad", _later("%(who)s pressed keys towards them")),
    DeskActionKind.TRANSFER: ("phone_forwarded", _later("%(who)s let %(colleague)s be rung for them")),
    DeskActionKind.JOIN: ("group_add", _later("%(who)s joined the talk")),
    DeskActionKind.MESSAGE: ("voicemail", _later("%(who)s left a message: “%(said)s”")),
}


def at_the_desk(call: Call) -> Iterator[Step]:
    """What one of us did with a call without AI, by whom, and what became of it."""
    if not call.desk_number:
        return
    for done in call.desk_actions.select_related("user", "colleague"):
        icon, text = DESK_ACTIONS[DeskActionKind(done.kind)]
        colleague = _named(done.colleague)
        told = text % {"who": _named(done.user), "colleague": colleague, "said": done.said}
        detail = phone.pretty(done.number) if done.number else ""
        if done.keys:
            detail = ngettext("%(keys)d key", "%(keys)d keys", done.keys) % {"keys": done.keys}
        if done.problem:
            yield Step(done.at, icon, told, done.problem, "bad")
        else:
            yield Step(done.at, icon, told, detail if done.done_at else _("Not known to be done"))
        yield Step(done.taken_at, "phone_in_talk", _("%(who)s took the call") % {"who": colleague})


def _named(user: User | None) -> str:
    return (user.get_full_name() or user.get_username()) if user else _("someone")
