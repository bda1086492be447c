"""Is this agent ready to call? A light for each thing that makes calls fail, get lost or annoy.

Judged on the profile as last synced. Red stops calls, so it is kept for what is certain: the call
would fail, would say a placeholder aloud, or its results would go to somebody else.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.models import Agent
from agents.providers.abilities import Ability
from agents.providers.base import AgentProfile, AnalysisField
from agents.providers.registry import can
from agents.variables import SUPPLIED

WEBHOOK_PATH = "/webhook/retell"
CALL_BACK_FIELD = AnalysisField(
    name="callback_time",
    kind="text",
    description="When the person asked to be called back, as ISO 8601 with offset. Empty if they did not.",
)
NEVER_CALL_FIELD = "do_not_call"
# How an AI says that it is one, in the languages people write opening lines in.
SAYS_AI = re.compile(
    r"\b(A\.?I|K\.?I|I\.?A|(?i:artificial|artificielle|künstliche\w*|virtu\w+|automat\w+|robot\w*))\b"
)
SHORTEST_RING_MS = 20_000
LONGEST_RING_MS = 60_000
GOOD_RING_MS = 30_000


class Level(models.TextChoices):
    GREEN = "green", gettext_lazy("Ready")
    AMBER = "amber", gettext_lazy("Could be better")
    RED = "red", gettext_lazy("Not ready")


ORDER = (Level.RED, Level.AMBER, Level.GREEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    code: str
    level: Level
    sentence: str
    what_to_do: str = ""
    fix: Mapping[str, Any] | None = None
    """What `Provider.fix_agent` would be given; None when only a person can mend it."""


def our_webhook(public_base_url: str) -> str:
    return f"{public_base_url.rstrip('/')}{WEBHOOK_PATH}" if public_base_url else ""


def our_inbound_webhook(public_base_url: str) -> str:
    return f"{our_webhook(public_base_url)}/inbound" if public_base_url else ""


def same_address(one: str, other: str) -> bool:
    """Scheme and host in any case; the path exactly, since our doors are never redirected."""
    first, second = urlsplit(one.strip()), urlsplit(other.strip())
    return (first.scheme.lower(), first.netloc.lower(), first.path) == (
        second.scheme.lower(),
        second.netloc.lower(),
        second.path,
    )


def check_readiness(
    profile: AgentProfile,
    *,
    public_base_url: str,
    company_name: str,
    pinned_version: str,
    supplied_variables: Collection[str],
    heard: bool = False,
) -> list[Check]:
    """Every check, worst first. `heard`: events of this agent's calls have reached us."""
    checks = [
        _suspended(profile),
        _webhook(profile, our_webhook(public_base_url), heard=heard),
        _variables(profile, supplied_variables),
        _events(profile),
        _call_back(profile),
        _do_not_call(profile),
        *_introduction(profile, company_name),
        _voicemail(profile),
        _screening(profile),
        _ring_time(profile),
        _recordings(profile),
        _version(profile, pinned_version),
    ]
    return sorted(checks, key=lambda check: ORDER.index(check.level))


def checks_of(agent: Agent, *, heard: bool = False, also_supplied: Collection[str] = ()) -> list[Check]:
    """The card of a stored agent, for the settings in force."""
    if not can(Ability.CATALOGUE):
        return [_created(agent)]
    gone = [_gone()] if agent.gone_since else []
    profile = profile_from_json(agent.profile)
    if profile is None:
        return [*gone, _never_synced()]
    return gone + check_readiness(
        profile,
        public_base_url=settings.PUBLIC_BASE_URL,
        company_name=settings.COMPANY_NAME,
        pinned_version=agent.pinned_version,
        supplied_variables={*SUPPLIED, *also_supplied},
        heard=heard,
    )


def blocking(agent: Agent, *, also_supplied: Collection[str] = ()) -> list[Check]:
    """The reds: each stops a call with its sentence. `also_supplied`: what this call brings along."""
    return [check for check in checks_of(agent, also_supplied=also_supplied) if check.level == Level.RED]


def light(checks: Sequence[Check]) -> Level:
    """The worst of them."""
    return next((level for level in ORDER if any(check.level == level for check in checks)), Level.GREEN)


def profile_to_json(profile: AgentProfile) -> dict[str, Any]:
    """What `Agent.profile` keeps: sets as sorted lists, dataclasses as objects."""
    found = dataclasses.asdict(profile)
    for name, value in found.items():
        if isinstance(value, frozenset):
            found[name] = sorted(value)
        elif isinstance(value, tuple):
            found[name] = list(value)
    return found


def profile_from_json(stored: Mapping[str, Any]) -> AgentProfile | None:
    """None for an agent that was never synced, or by a release whose profile said less."""
    fields = dataclasses.fields(AgentProfile)
    needed = {field.name for field in fields if field.default is dataclasses.MISSING}
    if not needed <= stored.keys():
        return None
    given = {field.name: stored[field.name] for field in fields if field.name in stored}
    given["analysis_fields"] = tuple(
        AnalysisField(**{**field, "choices": tuple(field.get("choices", ()))})
        for field in given["analysis_fields"]
    )
    for name in ("variables_used", "events", "missing_events", "editable"):
        given[name] = frozenset(given[name])
    return AgentProfile(**given)


def _fix(profile: AgentProfile, **changes: Any) -> Mapping[str, Any] | None:
    return changes if changes.keys() <= profile.editable else None


def _green(code: str, sentence: str) -> Check:
    return Check(code=code, level=Level.GREEN, sentence=sentence)


def _gone() -> Check:
    return Check(
        code="gone",
        level=Level.RED,
        sentence=_("The phone company no longer has this agent."),
        what_to_do=_("Choose another agent, or bring it back at the phone company and sync."),
    )


def _never_synced() -> Check:
    return Check(
        code="never_synced",
        level=Level.AMBER,
        sentence=_("Nobody has looked yet at how the phone company has this agent."),
        what_to_do=_("Press Sync."),
    )


def _created(agent: Agent) -> Check:
    """Where the phone company tells nothing about its agents, only what was done from here is known."""
    if agent.created_there_at:
        return _green("created", _("It was created from here, and every call uses it as it was then."))
    return Check(
        code="created",
        level=Level.AMBER,
        sentence=_("It was not created from here: nobody can look whether the phone company has it."),
        what_to_do=_("Create it at the phone company, unless its calls go well."),
    )


def _suspended(profile: AgentProfile) -> Check:
    if not profile.suspended:
        return _green("suspended", _("The phone company lets it call."))
    return Check(
        code="suspended",
        level=Level.RED,
        sentence=_("The phone company has suspended this agent."),
        what_to_do=_("Ask the phone company why; until then choose another agent."),
    )


def _webhook(profile: AgentProfile, ours: str, *, heard: bool) -> Check:
    code = "webhook"
    if not ours:
        return Check(
            code=code,
            level=Level.AMBER,
            sentence=_("Nobody knows where the phone company can reach us: PUBLIC_BASE_URL is not set."),
            what_to_do=_("Set PUBLIC_BASE_URL to the address of this site."),
        )
    theirs = profile.webhook_url
    if theirs and not same_address(theirs, ours):
        return Check(
            code=code,
            level=Level.RED,
            sentence=_("What happens on its calls is told to %(theirs)s and not to us.") % {"theirs": theirs},
            what_to_do=_("An address set on the agent silently replaces the account's. Ours is %(ours)s.")
            % {"ours": ours},
            fix=_fix(profile, webhook_url=ours),
        )
    if theirs or heard:
        return _green(code, _("What happens on its calls reaches us."))
    return Check(
        code=code,
        level=Level.AMBER,
        sentence=_(
            "What happens on its calls goes to the account's address, which nobody can read from here."
        ),
        what_to_do=_("Nothing has come yet. The account's address must be %(ours)s.") % {"ours": ours},
        fix=_fix(profile, webhook_url=ours),
    )


def _events(profile: AgentProfile) -> Check:
    missing = profile.missing_events
    if not missing:
        return _green("events", _("It reports everything we need to hear."))
    return Check(
        code="events",
        level=Level.AMBER,
        sentence=_("It does not report %(events)s.") % {"events": ", ".join(sorted(missing))},
        what_to_do=_("We look such calls up, minutes later; the page of a call in progress stays empty."),
        fix=_fix(profile, events=profile.events | missing),
    )


def _variables(profile: AgentProfile, supplied: Collection[str]) -> Check:
    unknown = sorted(profile.variables_used - set(supplied) - profile.default_variables.keys())
    if not unknown:
        return _green("variables", _("Every variable it speaks has a value."))
    shown = ", ".join("{{" + name + "}}" for name in unknown)
    return Check(
        code="variables",
        level=Level.RED,
        sentence=_("It would say %(variables)s aloud: nobody fills them in.") % {"variables": shown},
        what_to_do=_("Give them a default at the phone company, or fill them in for each call."),
        fix=_fix(profile, default_variables={**profile.default_variables, **dict.fromkeys(unknown, "")}),
    )


def _call_back(profile: AgentProfile) -> Check:
    if any(field.name == CALL_BACK_FIELD.name for field in profile.analysis_fields):
        return _green("call_back", _("It notes when people want to be called back."))
    return Check(
        code="call_back",
        level=Level.AMBER,
        sentence=_("It does not note when people want to be called back."),
        what_to_do=_("Add “%(field)s” to what is asked about each call.") % {"field": CALL_BACK_FIELD.name},
        fix=_fix(profile, analysis_fields=(*profile.analysis_fields, CALL_BACK_FIELD)),
    )


def _do_not_call(profile: AgentProfile) -> Check:
    if profile.detects_do_not_call:
        return _green("do_not_call", _("It hears “never call me again” and we obey."))
    noted = any(field.name == NEVER_CALL_FIELD for field in profile.analysis_fields)
    return Check(
        code="do_not_call",
        level=Level.AMBER,
        sentence=_("“Never call me again” is only noticed after the call, in the analysis.")
        if noted
        else _("It does not hear “never call me again”: somebody has to read every call."),
        what_to_do=_("Switch on its do-not-call detection."),
        fix=_fix(profile, detects_do_not_call=True),
    )


def _introduction(profile: AgentProfile, company_name: str) -> Iterator[Check]:
    line = profile.opening_line
    if not line:
        yield Check(
            code="says_ai",
            level=Level.AMBER,
            sentence=_("It waits for the person to speak: nobody can check how it introduces itself.")
            if line == ""
            else _(
                "The model makes up the first line: nobody can check that it says it is an AI, and for whom."
            ),
            what_to_do=_(
                "Write an opening line, such as: Hi {{first_name}}, I am the AI of {{company_name}}."
            ),
        )
        return
    if SAYS_AI.search(line):
        yield _green("says_ai", _("It says at once that it is an AI."))
    else:
        yield Check(
            code="says_ai",
            level=Level.AMBER,
            sentence=_("The first line does not seem to say that it is an AI."),
            what_to_do=_("Many laws ask for it, and people hang up less angrily."),
        )
    names = {company_name, profile.default_variables.get("company_name", "")} - {""}
    if "company_name" in re.findall(r"\{\{\s*([^{}]+?)\s*\}\}", line) or any(
        name.casefold() in line.casefold() for name in names
    ):
        yield _green("says_company", _("It says at once for whom it calls."))
    else:
        yield Check(
            code="says_company",
            level=Level.AMBER,
            sentence=_("The first line does not say for whom it calls."),
            what_to_do=_("Put {{company_name}} into it."),
        )


def _voicemail(profile: AgentProfile) -> Check:
    if profile.voicemail_action:
        if profile.voicemail_action == "hangup":
            return _green("voicemail", _("It notices voicemail and hangs up."))
        return _green("voicemail", _("It notices voicemail and does what it was told for it."))
    return Check(
        code="voicemail",
        level=Level.AMBER,
        sentence=_("It talks to voicemail as if it were a person, and we pay for it."),
        what_to_do=_("Let it hang up when a machine answers."),
        fix=_fix(profile, voicemail_action="hangup"),
    )


def _screening(profile: AgentProfile) -> Check:
    if profile.screening_answer:
        return _green("screening", _("It answers phones that ask who is calling."))
    return Check(
        code="screening",
        level=Level.AMBER,
        sentence=_("It has no answer for phones that ask who is calling and why."),
        what_to_do=_("Write one at the phone company: who it is and for what it calls."),
    )


def _ring_time(profile: AgentProfile) -> Check:
    ring = profile.ring_time_ms
    if ring is None or SHORTEST_RING_MS <= ring <= LONGEST_RING_MS:
        return _green("ring_time", _("It lets the phone ring long enough, and not too long."))
    sentence = (
        _("It gives up after %(seconds)d s of ringing: many people are slower.")
        if ring < SHORTEST_RING_MS
        else _("It lets the phone ring for %(seconds)d s: that is how voicemail is reached.")
    )
    return Check(
        code="ring_time",
        level=Level.AMBER,
        sentence=sentence % {"seconds": ring // 1000},
        what_to_do=_("%(seconds)d s is usual.") % {"seconds": GOOD_RING_MS // 1000},
        fix=_fix(profile, ring_time_ms=GOOD_RING_MS),
    )


def _recordings(profile: AgentProfile) -> Check:
    if profile.signed_recordings:
        return _green("recordings", _("Links to its recordings expire."))
    return Check(
        code="recordings",
        level=Level.AMBER,
        sentence=_("Whoever gets hold of a link to a recording can listen to it for ever."),
        what_to_do=_("Let the phone company sign the links; people here listen through this site."),
        fix=_fix(profile, signed_recordings=True),
    )


def _version(profile: AgentProfile, pinned: str) -> Check:
    newest = profile.newest_version
    if pinned and newest is not None and pinned.isdigit() and int(pinned) != newest:
        return Check(
            code="version",
            level=Level.AMBER,
            sentence=_("Version %(pinned)s speaks; the newest is %(newest)s.")
            % {"pinned": pinned, "newest": newest},
            what_to_do=_("Pin the newest, or unpin, once you have heard it."),
        )
    if pinned:
        return _green("version", _("Version %(pinned)s speaks, and stays.") % {"pinned": pinned})
    if newest is None and profile.published is False:
        return Check(
            code="version",
            level=Level.AMBER,
            sentence=_("It was never published: every change at the phone company is heard at once."),
            what_to_do=_("Publish it, or pin a version."),
        )
    return _green("version", _("The newest published version speaks."))
