"""*Add a number*: from the Twilio account to a number that calls and is called, on one page of six cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents import number_setup, readiness
from agents.models import NumberSetup, NumberSetupStep, PhoneNumber, SetupStep, StepState
from agents.number_setup import Given, NotInTurn, SetupProblem, SomebodyIsAtIt
from agents.providers.base import ProviderError
from callcenter.checks import refuse_without_settings
from calls import number_proof
from calls.admin.number_offering import OfferForm, offer_all_the_same
from calls.admin.number_release import ADMINISTRATORS
from calls.admin.number_setup_forms import ImportForm, RingForm, TrunkForm
from calls.dialer import BadRequest, NotAllowed, OnThePhone, ramp

WHAT_IT_DOES: Mapping[str, Any] = {
    SetupStep.NUMBER: gettext_lazy("Bought in Twilio's console; nothing is changed there by choosing it."),
    SetupStep.TRUNK: gettext_lazy(
        "The line between Twilio and Retell. One that other numbers set up here use is used again: they then "
        "share its pace, one call a second unless Twilio raised it."
    ),
    SetupStep.SIGN_IN: gettext_lazy(
        "A user of this number's own on the trunk, with a password that nobody is shown, and Retell's "
        "address for calls that come in. Again: a new password on both sides."
    ),
    SetupStep.ATTACH: gettext_lazy(
        "From then on whoever rings it reaches the trunk. How it was answered before is kept, and put back "
        "when this is taken back."
    ),
    SetupStep.IMPORT: gettext_lazy(
        "With the trunk's address, the user and a new password, the AI agents, our address to be asked who "
        "is calling, and a number to fall back to. In its first weeks it then makes few calls a day: its "
        "page says how many."
    ),
    SetupStep.PROOF: gettext_lazy(
        "Until both were seen here it is not offered as caller ID: people ring back, and must reach somebody."
    ),
}
WAITING_FOR: Mapping[str, Any] = {
    "inbound_agent": gettext_lazy("an AI agent that answers"),
    "inbound_webhook": gettext_lazy("our address to be asked who is calling"),
    "fallback_number": gettext_lazy("a number to fall back to"),
    "called_out": gettext_lazy("a call out that was picked up"),
    "called_in": gettext_lazy("a call in that was answered"),
}


@dataclass(frozen=True, slots=True)
class Card:
    """One step as it is shown. `row` None: nothing was begun yet."""

    number: int
    step: str
    title: str
    text: Any
    row: NumberSetupStep | None
    may_run: bool
    may_take_back: bool

    @property
    def state(self) -> str:
        return self.row.state if self.row is not None else StepState.OPEN

    @property
    def state_said(self) -> str:
        return str(StepState(self.state).label)

    @property
    def look(self) -> str:
        """As the checks' lines are coloured."""
        return {StepState.DONE: "green", StepState.FAILED: "red", StepState.UNCLEAR: "amber"}.get(
            StepState(self.state), "open"
        )


class NumberSetupViews:
    """The part of the phone numbers' admin that sets new ones up. Mixed into a ModelAdmin of PhoneNumber."""

    admin_site: Any
    opts: Any
    log_change: Any
    log_addition: Any

    def setup_urls(self) -> list[URLPattern]:
        def at(tail: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            wrapped = self.admin_site.admin_view(view)
            found: URLPattern = path(f"set-up/{tail}", wrapped, name=f"agents_numbersetup_{name}")
            return found

        return [at("", self.begin_view, "begin"), at("<int:setup_id>/", self.setup_view, "page")]

    def begin_view(self, request: HttpRequest) -> HttpResponse:
        """POST looks at the account, and waits for Twilio: a person asked for exactly that."""
        _allow(request)
        candidates, why_not = None, number_setup.why_not()
        if request.method == "POST" and not why_not:
            refuse_without_settings("Add a number")
            try:
                if request.POST.get("do") == "choose":
                    return self._begin(request)
                candidates = number_setup.candidates()
            except (ProviderError, SetupProblem) as error:
                messages.error(request, _told(error))
        context = {
            **self._context(request, _("Add a number")),
            "why_not": why_not,
            "cards": cards(None),
            "candidates": candidates,
            "begun": NumberSetup.objects.filter(completed_at=None),
        }
        return TemplateResponse(request, "admin/agents/numbersetup/page.html", context)

    def _begin(self, request: HttpRequest) -> HttpResponse:
        sid = request.POST.get("number_sid", "")
        if not sid.isalnum():
            raise SetupProblem(_("Choose a number first."))
        label = request.POST.get("label", "").strip()
        setup = number_setup.begin(sid, label=label, by=request.user, now=timezone.now())
        self.log_addition(request, setup, [{"added": {}}])
        return redirect("admin:agents_numbersetup_page", setup.pk)

    def setup_view(self, request: HttpRequest, setup_id: int) -> HttpResponse:
        _allow(request)
        setup = get_object_or_404(
            NumberSetup.objects.select_related("inbound_agent", "outbound_agent"), pk=setup_id
        )
        do = request.POST.get("do", "") if request.method == "POST" else ""
        forms = {
            "trunk": TrunkForm(request.POST if do == SetupStep.TRUNK else None),
            "import": ImportForm(request.POST if do == SetupStep.IMPORT else None, setup=setup),
            "ring": RingForm(request.POST if do == "ring" else None),
            "offer": OfferForm(request.POST if do == "offer" else None),
        }
        if do:
            refuse_without_settings("Add a number")
            answer = self._do(request, setup, do, forms)
            if answer is not None:
                return answer
        context = {
            **self._context(request, str(setup)),
            "setup": setup,
            "cards": cards(setup),
            "forms": forms,
            **facts(setup),
            "rung_back": number_proof.still_rung_back(setup, now=timezone.now()),
            "may_go_on": request.user.has_perm(ADMINISTRATORS),
            "may_offer": request.user.has_perm("agents.offer_unproved_number"),
            "may_call": request.user.has_perm("calls.place_call"),
        }
        return TemplateResponse(request, "admin/agents/numbersetup/page.html", context)

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "title": title}

    def _do(
        self, request: HttpRequest, setup: NumberSetup, do: str, forms: Mapping[str, Any]
    ) -> HttpResponse | None:
        """None: a form is not right, and is shown again with what was typed."""
        form = forms.get(do)
        if form is not None and not form.is_valid():
            return None
        said = form.cleaned_data if form is not None else {}
        try:
            if do in (SetupStep.TRUNK, SetupStep.SIGN_IN, SetupStep.ATTACH, SetupStep.IMPORT):
                return self._run(request, setup, do, Given(**said))
            if do == SetupStep.PROOF:
                row = number_proof.look(setup, by=request.user, now=timezone.now())
                return self._say(request, setup, row)
            if do == "ring":
                return self._ring(request, setup, said["number"])
            if do == "offer":
                return self._offer(request, setup, said["reason"])
            if do == "offer_no_more":
                return self._offer(request, setup, "")
            if do in ("take_back", "take_all_back"):
                return self._take_back(request, setup, everything=do == "take_all_back")
        except (NotInTurn, SomebodyIsAtIt, SetupProblem) as problem:
            messages.error(request, _told(problem))
        return redirect("admin:agents_numbersetup_page", setup.pk)

    def _run(self, request: HttpRequest, setup: NumberSetup, step: str, given: Given) -> HttpResponse:
        here = PhoneNumber.objects.filter(number=setup.number, gone_since=None)
        new_here = not here.exists()
        row = number_setup.run_step(setup, step, given, by=request.user, now=timezone.now())
        self.log_change(request, setup, f"{SetupStep(step).label}: {row.get_state_display()}")
        if new_here and (number := here.first()) is not None:
            ramp.begin(number, now=timezone.now())
        return self._say(request, setup, row)

    def _say(self, request: HttpRequest, setup: NumberSetup, row: NumberSetupStep) -> HttpResponse:
        if row.state == StepState.DONE:
            messages.success(request, _("%(step)s: done.") % {"step": row.get_step_display()})
        address = reverse("admin:agents_numbersetup_page", args=[setup.pk])
        return redirect(f"{address}#step-{row.step}")

    def _ring(self, request: HttpRequest, setup: NumberSetup, number: str) -> HttpResponse:
        if not request.user.has_perm("calls.place_call"):
            raise PermissionDenied
        try:
            number_proof.ring(setup, number, by=request.user, now=timezone.now())  # type: ignore[arg-type]
        except NotAllowed as refused:
            for reason in refused.reasons:
                messages.error(request, reason.text)
        except (OnThePhone, BadRequest) as problem:
            messages.error(request, str(problem))
        else:
            messages.success(request, _("Your telephone will ring. Pick up, then look for the calls."))
        address = reverse("admin:agents_numbersetup_page", args=[setup.pk])
        return redirect(f"{address}#step-{SetupStep.PROOF}")

    def _offer(self, request: HttpRequest, setup: NumberSetup, reason: str) -> HttpResponse:
        row = get_object_or_404(PhoneNumber, number=setup.number, gone_since=None)
        offer_all_the_same(request, row, reason, log_change=self.log_change)
        return redirect("admin:agents_numbersetup_page", setup.pk)

    def _take_back(self, request: HttpRequest, setup: NumberSetup, *, everything: bool) -> HttpResponse:
        if why_not := number_proof.why_not_take_back(setup):
            raise SetupProblem(why_not)
        step, shown, now = number_setup.last_begun(setup), str(setup), timezone.now()
        reason = request.POST.get("reason", "").strip()[:300]
        if everything or step == SetupStep.IMPORT:
            _check_rung_back(request, setup, reason, now=now)
        whole = everything or step == SetupStep.NUMBER
        told = "takes back everything" if whole else f"takes back: {step}"
        self.log_change(request, setup, f"{told} ({reason})" if reason else told)
        if everything:
            row = number_setup.take_all_back(setup, by=request.user, now=now)
        else:
            row = number_setup.take_back(setup, step, by=request.user, now=now)
        if row is None:
            messages.success(request, _("%(number)s is as it was before.") % {"number": shown})
            return redirect("admin:agents_phonenumber_changelist")
        if row.state == StepState.OPEN:
            messages.success(request, _("%(step)s: taken back.") % {"step": row.get_step_display()})
        return self._say(request, setup, row)


def _check_rung_back(request: HttpRequest, setup: NumberSetup, reason: str, *, now: datetime) -> None:
    """As when a number is given up. Raises SetupProblem."""
    warning = number_proof.still_rung_back(setup, now=now)
    if warning and not (reason and request.user.has_perm(ADMINISTRATORS)):
        raise SetupProblem(f"{warning} {_('Only an administrator may go on, with a reason.')}")


def _allow(request: HttpRequest) -> None:
    if not request.user.has_perms(["agents.add_phonenumber", "agents.change_phonenumber"]):
        raise PermissionDenied


def _told(error: Exception) -> str:
    return error.message if isinstance(error, ProviderError) else str(error)


def cards(setup: NumberSetup | None) -> list[Card]:
    rows = {row.step: row for row in setup.steps.select_related("by")} if setup is not None else {}
    last = number_setup.last_begun(setup) if setup is not None else ""
    found = []
    for number, step in enumerate(SetupStep, start=1):
        may_run = setup is not None and step != SetupStep.NUMBER and number_setup.may_run(setup, step)
        found.append(
            Card(
                number=number,
                step=step,
                title=str(step.label),
                text=WHAT_IT_DOES[step],
                row=rows.get(step),
                may_run=may_run,
                may_take_back=step == last,
            )
        )
    return found


def facts(setup: NumberSetup) -> dict[str, Any]:
    """What the page tells beside the cards: the row of the number, its calls, what it still takes."""
    row = PhoneNumber.objects.filter(number=setup.number, gone_since=None).first()
    missing = number_setup.missing(setup, row) if row is not None else []
    done = setup.steps.filter(state=StepState.DONE).count()
    return {
        "number_row": row,
        "seen": number_proof.seen(setup),
        "still": [str(WAITING_FOR[code]) for code in missing if code in WAITING_FOR],
        "done": done,
        "most": len(SetupStep),
        "inbound_webhook": readiness.our_inbound_webhook(settings.PUBLIC_BASE_URL),
    }
