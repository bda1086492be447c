"""What is said on every page of the desk: whether telephones ring, and what keeps calls from going out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from callcenter.checks import calls_the_sandbox
from calls import dialer, provider_checks
from calls.admin.events import gone_wrong
from calls.lifecycle import reachability
from calls.models import Adoption, Call, ProviderCheck
from calls.models.call import INCIDENT
from calls.models.caps import CapKind
from calls.models.gate import AccountProblem
from calls.models.stop import StopCause, StopScope

CACHE_KEY = "calls.admin.banners"
CACHED_S = 5
MICROS = 1_000_000


class Level(StrEnum):
    ALARM = "alarm"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Banner:
    id: str
    level: Level
    icon: str
    title: str
    text: str = ""
    link: str = ""
    """Where to look, said as `link_text`."""
    link_text: str = ""


@dataclass(frozen=True, slots=True)
class PartStop:
    """A stop of an agent, a caller ID or a list."""

    what: str
    why: str
    by: str
    refused: bool


@dataclass(frozen=True, slots=True)
class State:
    """What the rows say, for everybody alike; kept a few seconds, as every page asks."""

    stop: dialer.StopState
    parts: tuple[PartStop, ...]
    dialer_alive: bool
    account: dialer.AccountState
    lines: tuple[tuple[str, str], ...]
    """Lines that do not work as usual, and what is the matter."""
    unreachable: reachability.Unreachable | None
    events_gone_wrong: int
    incidents: int
    catching_up: Adoption | None
    checks: tuple[ProviderCheck, ...]
    """Checks of the phone company that fail."""
    caps: tuple[dialer.caps.CapState, ...]
    """Daily limits that are near or reached."""


def state(*, now: datetime) -> State:
    kept: State | None = cache.get(CACHE_KEY)
    if kept is None:
        stops = dialer.in_force()
        kept = State(
            stop=dialer.stop_state(stops),
            parts=tuple(
                PartStop(str(each), each.reason, str(each.stopped_by or ""), each.cause == StopCause.REFUSED)
                for each in stops
                if each.scope != StopScope.EVERYTHING
            ),
            dialer_alive=dialer.alive(now=now),
            account=dialer.account_state(),
            lines=tuple(dialer.lines_said(now=now).items()),
            unreachable=reachability.judge(reachability.gather(now=now), now=now),
            events_gone_wrong=gone_wrong(now=now),
            incidents=Call.objects.filter(INCIDENT).count(),
            catching_up=dialer.catching_up(),
            checks=tuple(provider_checks.failing()),
            caps=tuple(dialer.caps.pressing(now=now)),
        )
        cache.set(CACHE_KEY, kept, CACHED_S)
    return kept


def banners(*, now: datetime, may_resume: bool, may_see_events: bool = False) -> list[Banner]:
    """Alarms first, the one that explains the others on top."""
    found = state(now=now)
    shown: list[Banner] = []
    if found.stop.stopped:
        shown.append(_stopped(found.stop, may_resume=may_resume))
    shown += [_part(each, nth, may_resume=may_resume) for nth, each in enumerate(found.parts)]
    if found.catching_up:
        shown.append(_catching_up(found.catching_up))
    if found.incidents:
        shown.append(_incidents(found.incidents))
    if not found.dialer_alive:
        shown.append(
            Banner(
                "no-dialer",
                Level.ALARM,
                "phone_disabled",
                _("Nothing is being dialled"),
                _("No dialer has reported for 40 seconds. Somebody has to start “manage.py dialer”."),
            )
        )
    if found.account.problem:
        shown.append(_account(found.account, may_resume=may_resume))
    shown += [_cap(each, now) for each in found.caps]
    shown += [
        Banner(
            f"line-{nth}",
            Level.NOTICE,
            "phone_paused",
            _("Line %(line)s: %(what)s") % {"line": name, "what": text},
        )
        for nth, (name, text) in enumerate(found.lines)
    ]
    if found.unreachable:
        shown.append(
            Banner(
                "unreachable",
                Level.ALARM,
                "signal_disconnected",
                _("Retell cannot reach us"),
                found.unreachable.sentence,
            )
        )
    # What has a banner of its own is not said twice.
    told = ({"key"} if found.account.problem else set()) | (
        {"webhook_key", "webhook_url"} if found.unreachable else set()
    )
    if checks := [check for check in found.checks if check.code not in told]:
        shown.append(_checks(checks, may_look=may_resume))
    if found.events_gone_wrong and may_see_events:
        shown.append(_gone_wrong(found.events_gone_wrong))
    if calls_the_sandbox():
        shown.append(
            Banner(
                "sandbox", Level.NOTICE, "science", _("Nobody's phone rings: this desk talks to the sandbox.")
            )
        )
    if settings.RULE_PACK == "none":
        shown.append(
            Banner(
                "no-rule-pack",
                Level.NOTICE,
                "gavel",
                _("No rule pack: only calling hours, do-not-call and the hard rules are checked."),
            )
        )
    return shown


def _checks(checks: Sequence[ProviderCheck], *, may_look: bool) -> Banner:
    title = ngettext(
        "Something is wrong between us and the phone company",
        "%(count)d things are wrong between us and the phone company",
        len(checks),
    )
    return Banner(
        "checks",
        Level.ALARM,
        "network_check",
        title % {"count": len(checks)},
        " ".join(check.sentence for check in checks[:2]),
        link=reverse("admin:provider_checks") if may_look else "",
        link_text=_("What to do…"),
    )


def _gone_wrong(count: int) -> Banner:
    return Banner(
        "events",
        Level.ALARM,
        "inbox",
        ngettext(
            "%(count)d event from the phone company could not be read",
            "%(count)d events from the phone company could not be read",
            count,
        )
        % {"count": count},
        _("They are kept as they came; until they are read, their calls lack what they say."),
        link=reverse("admin:calls_webhookevent_changelist"),
        link_text=_("See stored events"),
    )


def _catching_up(adoption: Adoption) -> Banner:
    said = _(
        "%(why)s. Before anything is dialled, it is asked which calls were made since: "
        "%(listed)d read so far, %(adopted)d of them not known here."
    ) % {
        "why": adoption.get_cause_display(),
        "listed": adoption.listed,
        "adopted": adoption.adopted,
    }
    if adoption.problem:
        said += " " + _("No answer yet: %(problem)s") % {"problem": adoption.problem}
    return Banner("catching-up", Level.ALARM, "history", _("Catching up with the phone company"), said)


def _incidents(count: int) -> Banner:
    return Banner(
        "incident",
        Level.ALARM,
        "crisis_alert",
        ngettext("One call may have rung twice", "%(count)d calls may have rung twice", count)
        % {"count": count},
        _("The phone company knows it under two ids. Somebody has to look at it."),
        link=reverse("admin:needs_a_look"),
        link_text=_("Look at it"),
    )


def _stopped(stop: dialer.StopState, *, may_resume: bool) -> Banner:
    said: list[str] = []
    if stop.at is not None:
        since = date_format(timezone.localtime(stop.at), "j M, H:i T")
        said.append(
            _("By %(who)s, %(since)s.") % {"who": stop.by, "since": since}
            if stop.by
            else _("Since %(since)s.") % {"since": since}
        )
    if stop.reason:
        said.append(_("Reason: %(reason)s.") % {"reason": stop.reason.rstrip(".")})
    said.append(_("Calls already on the phone go on; everything else waits."))
    return Banner(
        "stopped",
        Level.ALARM,
        "front_hand",
        _("All calling is stopped"),
        " ".join(said),
        link=reverse("admin:calling"),
        link_text=_link(may_resume=may_resume),
    )


def _cap(cap: dialer.caps.CapState, now: datetime) -> Banner:
    used, most = (shown_amount(cap.kind, value) for value in (cap.used, cap.most or 0))
    known = {"what": CapKind(cap.kind).label, "used": used, "most": most}
    if cap.level == dialer.caps.Level.REACHED:
        ends = timezone.localtime(dialer.caps.day_ends(now))
        return Banner(
            f"cap-{cap.kind}",
            Level.ALARM,
            "production_quantity_limits",
            _("Today's limit is reached: %(what)s, %(used)s of %(most)s") % known,
            _("Nothing more goes out until %(when)s. People who ring are answered.")
            % {"when": date_format(ends, "j M, H:i T")},
            link=reverse("admin:limits"),
            link_text=_("See the limits"),
        )
    return Banner(
        f"cap-{cap.kind}",
        Level.NOTICE,
        "production_quantity_limits",
        _("Today's limit is near: %(what)s, %(used)s of %(most)s.") % known,
        link=reverse("admin:limits"),
        link_text=_("See the limits"),
    )


def shown_amount(kind: str, value: int | None) -> str:
    """An amount of a daily limit, with its unit's decimals."""
    if value is None:
        return _("no limit")
    return f"{value / MICROS:,.2f}" if kind == CapKind.MONEY else f"{value:,}"


def _account(account: dialer.AccountState, *, may_resume: bool) -> Banner:
    """What the phone company said, and what somebody has to do about it."""
    if account.code == AccountProblem.AUTHENTICATION:
        title = _("The phone company does not accept our key")
        todo = _(
            "Somebody has to put a valid key into RETELL_API_KEY and start the dialer and the site anew. "
            "Calls wait meanwhile; the key is tried again every few minutes."
        )
    else:
        title = _("The phone company takes no calls: credit or payment")
        todo = _(
            "Somebody has to put the credit or the payment method in order there. Calls wait meanwhile; "
            "every few minutes one call tries."
        )
    return Banner(
        "account",
        Level.ALARM,
        "credit_card_off",
        title,
        f"{account.problem.rstrip('.')}. {todo}",
        link=reverse("admin:calling") if may_resume else "",
        link_text=_("It is mended…"),
    )


def _link(*, may_resume: bool) -> str:
    return _("Resume calling…") if may_resume else _("See what is left")


def _part(stop: PartStop, nth: int, *, may_resume: bool) -> Banner:
    why = stop.why or _("No reason given.")
    if stop.refused:
        return Banner(
            f"part-{nth}",
            Level.ALARM,
            "phone_disabled",
            _("%(what)s: the phone company does not allow them") % {"what": stop.what},
            _("%(why)s. Those calls wait. Put it in order there, then resume them here.")
            % {"why": why.rstrip(".")},
            link=reverse("admin:calling"),
            link_text=_link(may_resume=may_resume),
        )
    title = _("%(what)s: stopped by %(who)s. %(why)s") if stop.by else _("%(what)s: stopped. %(why)s")
    return Banner(
        f"part-{nth}",
        Level.NOTICE,
        "front_hand",
        title % {"what": stop.what, "who": stop.by, "why": why},
        link=reverse("admin:calling"),
        link_text=_("See…"),
    )


def on_every_page(request: HttpRequest) -> dict[str, Any]:
    """Called by the site for each page's context."""
    if not request.user.is_active or not request.user.is_staff:
        return {}
    person = request.user
    now = timezone.now()
    may_resume = person.has_perm("calls.resume_calling")
    may_see_events = person.has_perm("calls.view_webhookevent")
    link = ""
    if may_resume or person.has_perm("calls.stop_calling") or person.has_perm("calls.place_call"):
        link = "stopped" if state(now=now).stop.stopped else "stop"
    shown = banners(now=now, may_resume=may_resume, may_see_events=may_see_events)
    return {"banners": shown, "stop_link": link}


def events_badge(request: HttpRequest) -> str | None:
    """Beside "Stored events" in the navigation; None shows nothing."""
    found = state(now=timezone.now()).events_gone_wrong
    return str(found) if found else None
