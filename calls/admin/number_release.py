"""Giving a number up: no caller ID any more, or not ours any more; with a warning while people ring back."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin.models import DELETION, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from agents.models import PhoneNumber
from agents.providers.abilities import Ability
from agents.providers.registry import can
from calls import releasing
from calls.admin.number_sheet import NumberSheets

ADMINISTRATORS = "agents.delete_phonenumber"


class NumberReleaseViews(NumberSheets):
    """The part of the phone numbers' admin for giving one up. Mixed into a ModelAdmin of PhoneNumber."""

    def release(self, request: HttpRequest, number_id: int) -> HttpResponse:
        """What it was used for, and the two ways to give it up."""
        row = self.number_or_404(request, number_id, "agents.change_phonenumber")
        now, problem = timezone.now(), ""
        if request.method == "POST":
            try:
                return self._give_up(request, row)
            except releasing.StillInUse as still:
                problem = str(still)
        use = releasing.use_of(row.number, now=now)
        why_not = releasing.why_not_release(use, now=now)
        administrator = request.user.has_perm(ADMINISTRATORS)
        return self.number_sheet(
            request,
            row,
            "release.html",
            title=_("Give up %(number)s") % {"number": row},
            use=use,
            why_not=why_not,
            problem="" if problem == why_not else problem,
            reason_missing=bool(problem) and problem == why_not and administrator,
            given=request.POST.get("reason", ""),
            callers=list(row.default_for_agents.all()),
            administrator=administrator,
            may_go_on=administrator or not why_not,
            why_stays=why_stays(row),
        )

    def use_again(self, request: HttpRequest, number_id: int) -> HttpResponse:
        """A retired number is caller ID again."""
        row = self.number_or_404(request, number_id, "agents.change_phonenumber")
        if PhoneNumber.objects.filter(pk=row.pk, active=False).update(active=True):
            self.log_change(request, row, "may be used as caller ID again")
            messages.success(request, _("%(number)s may be called from again.") % {"number": row})
        return redirect("admin:agents_phonenumber_change", row.pk)

    def _give_up(self, request: HttpRequest, row: PhoneNumber) -> HttpResponse:
        """Raises StillInUse."""
        reason = request.POST.get("reason", "").strip()[:300]
        administrator = request.user.has_perm(ADMINISTRATORS)
        now = timezone.now()
        if request.POST.get("do") == "remove":
            if not administrator or why_stays(row):
                raise PermissionDenied
            known = str(row)
            gone = PhoneNumber(pk=row.pk, number=row.number, label=row.label)
            releasing.remove(row, reason=reason, anyway=True, now=now)
            LogEntry.objects.log_actions(
                request.user.pk or 0, [gone], DELETION, f"removed: {reason}", single_object=True
            )
            messages.success(request, _("%(number)s is no longer one of our numbers.") % {"number": known})
            return redirect("admin:agents_phonenumber_changelist")
        releasing.retire(row, reason=reason, anyway=administrator, now=now)
        self.log_change(request, row, f"retired as caller ID: {reason}")
        messages.success(
            request,
            _("%(number)s is no caller ID any more. Whoever rings it is answered as before.")
            % {"number": row},
        )
        return redirect("admin:agents_phonenumber_change", row.pk)


def why_stays(row: PhoneNumber) -> str:
    """Why its row cannot be removed here; '' if it can."""
    if can(Ability.CATALOGUE) and row.last_synced_at is not None and row.gone_since is None:
        return _(
            "It can be removed from here once the phone company no longer has it: a sync then says “Gone”."
            " Until then a sync would bring it back."
        )
    return ""
