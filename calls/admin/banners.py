"""What is said on every page of the desk: whether telephones ring, and what keeps calls from going out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from callcenter.checks import calls_the_sandbox
from calls import dialer
from calls.admin.events import gone_wrong
from calls.dialer import account_problem
from calls.lifecycle import reachability
from calls.models import Gate
from calls.models.gate import GateKind

CACHE_KEY = "calls.admin.banners"
CACHED_S = 5


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
    may_resume: bool = False
    link: str = ""
    """Where to look, said as `link_text`."""
    link_text: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What the rows say, for everybody alike; kept a few seconds, as every page asks."""

    stop: dialer.StopState
    dialer_alive: bool
    account_problem: str
    unreachable: reachability.Unreachable | None
    events_gone_wrong: int


def state(*, now: datetime) -> State:
    kept: State | None = cache.get(CACHE_KEY)
    if kept is None:
        kept = State(
            stop=dialer.stop_state(),
            dialer_alive=dialer.alive(now=now),
            account_problem=account_problem(),
            unreachable=reachability.judge(reachability.gather(now=now), now=now),
            events_gone_wrong=gone_wrong(now=now),
        )
        cache.set(CACHE_KEY, kept, CACHED_S)
    return kept


def banners(*, now: datetime, may_resume: bool, may_see_events: bool = False) -> list[Banner]:
    """Alarms first, the one that explains the others on top."""
    found = state(now=now)
    shown: list[Banner] = []
    if found.stop.stopped:
        shown.append(_stopped(found.stop, may_resume=may_resume))
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
    if found.account_problem:
        shown.append(
            Banner(
                "account",
                Level.ALARM,
                "credit_card_off",
                _("The phone company refuses our calls"),
                _("It says: %(problem)s. One call tries again every minute.")
                % {"problem": found.account_problem.rstrip(".")},
            )
        )
    if found.unreachable:
        shown.append(
            Banner(
                "unreachable",
                Level.ALARM,
                "signal_disconnected",
                _("The phone company cannot reach us"),
                found.unreachable.sentence,
            )
        )
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
        may_resume=may_resume,
    )


def on_every_page(request: HttpRequest) -> dict[str, Any]:
    """Called by the site for each page's context."""
    if not request.user.is_active or not request.user.is_staff:
        return {}
    may_resume = request.user.has_perm("calls.resume_calling")
    may_see_events = request.user.has_perm("calls.view_webhookevent")
    return {"banners": banners(now=timezone.now(), may_resume=may_resume, may_see_events=may_see_events)}


def events_badge(request: HttpRequest) -> str | None:
    """Beside "Stored events" in the navigation; None shows nothing."""
    found = state(now=timezone.now()).events_gone_wrong
    return str(found) if found else None


@require_POST
def resume_calling(request: HttpRequest) -> HttpResponse:
    person = request.user
    if isinstance(person, AnonymousUser) or not person.has_perm("calls.resume_calling"):
        raise PermissionDenied
    dialer.resume(by=person, reason="", now=timezone.now())
    cache.delete(CACHE_KEY)
    gate = Gate.objects.get(kind=GateKind.STOP, name="all")
    LogEntry.objects.log_actions(person.pk, [gate], CHANGE, "Resumed calling.", single_object=True)
    messages.success(request, _("Calling goes on."))
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return HttpResponseRedirect(back if safe else reverse("admin:index"))
