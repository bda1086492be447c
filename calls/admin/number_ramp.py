"""How many calls a day a number may make in its first weeks: shown on its page, set by administrators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from agents.models import PhoneNumber
from calls.admin.number_sheet import NumberSheets
from calls.dialer import ramp
from calls.models import NumberRamp, RampPlan

ROWS = 4
LONGEST_STEP_DAYS = 90
MOST_CALLS = 10_000


def _whole(label: Any, most: int) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        required=False,
        min_value=1,
        max_value=most,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"inputmode": "numeric"}),
    )


class RampForm(forms.Form):
    """Own steps in pairs `days_1`, `calls_1` and so on; empty pairs are none."""

    plan = forms.ChoiceField(
        label=gettext_lazy("How many calls a day"), choices=RampPlan.choices, widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for nth in range(1, ROWS + 1):
            self.fields[f"days_{nth}"] = _whole(_("Days"), LONGEST_STEP_DAYS)
            self.fields[f"calls_{nth}"] = _whole(_("Calls on each"), MOST_CALLS)

    def pairs(self) -> list[tuple[Any, Any]]:
        return [(self[f"days_{nth}"], self[f"calls_{nth}"]) for nth in range(1, ROWS + 1)]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        steps = []
        for nth in range(1, ROWS + 1):
            days, calls = given.get(f"days_{nth}"), given.get(f"calls_{nth}")
            if days and calls:
                steps.append(ramp.Step(days, calls))
            elif (days or calls) and not {f"days_{nth}", f"calls_{nth}"} & self.errors.keys():
                self.add_error(f"calls_{nth}" if days else f"days_{nth}", _("Fill in both, or neither."))
        if given.get("plan") == RampPlan.OWN and not steps and not self.errors:
            self.add_error("days_1", _("Say how many days, and how many calls on each."))
        given["steps"] = steps
        return given


class AddedNumberForm(forms.ModelForm[PhoneNumber]):
    ramp_up = forms.BooleanField(
        label=gettext_lazy("few calls a day in its first weeks"),
        required=False,
        initial=True,
        help_text=gettext_lazy(
            "For a number that is new. One that suddenly calls a lot is labelled as spam. Leave it out for a"
            " number that has been called from before."
        ),
        widget=UnfoldBooleanSwitchWidget,
    )

    class Meta:
        model = PhoneNumber
        fields = ("number", "label", "line", "active")


class NumberRampViews(NumberSheets):
    """The part of the phone numbers' admin for their first weeks. Mixed into a ModelAdmin of PhoneNumber."""

    def get_form(
        self, request: HttpRequest, obj: PhoneNumber | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = AddedNumberForm
        return super().get_form(request, obj, change, **kwargs)  # type: ignore[misc]

    def save_model(self, request: HttpRequest, obj: PhoneNumber, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)  # type: ignore[misc]
        if not change and form.cleaned_data.get("ramp_up"):
            ramp.begin(obj, now=timezone.now())

    def set_ramp(self, request: HttpRequest, number_id: int) -> HttpResponse:
        row = self.number_or_404(request, number_id, "calls.change_dailycap")
        kept = NumberRamp.objects.filter(number=row).first()
        steps = ramp.steps_of(kept) if kept else ramp.USUAL_STEPS
        initial: dict[str, Any] = {"plan": kept.plan if kept else RampPlan.OFF}
        for nth, step in enumerate(steps[:ROWS], start=1):
            initial |= {f"days_{nth}": step.days, f"calls_{nth}": step.calls}
        form = RampForm(request.POST or None, initial=initial)
        if request.method == "POST" and form.is_valid():
            plan, own = form.cleaned_data["plan"], form.cleaned_data["steps"]
            if ramp.set_plan(row, plan, own_steps=own, now=timezone.now()):
                kept = NumberRamp.objects.get(number=row)
                self.log_change(request, row, f"calls a day: {_logged(kept)}")
                messages.success(request, _("Kept. It holds from the next call on."))
            return redirect("admin:agents_phonenumber_change", row.pk)
        usual = steps_said(ramp.USUAL_STEPS)
        return self.number_sheet(
            request, row, "ramp.html", title=_("How many calls a day"), form=form, usual=usual
        )


def _logged(kept: NumberRamp) -> str:
    if kept.plan == RampPlan.OFF:
        return "no limit of its own"
    return ", ".join(f"{step.days} days {step.calls}" for step in ramp.steps_of(kept))


def steps_said(steps: Sequence[ramp.Step]) -> list[str]:
    """'Days 1 to 7: 50 calls a day'."""
    said, first = [], 1
    for step in steps:
        last = first + step.days - 1
        said.append(
            _("Days %(first)d to %(last)d: %(calls)d calls a day")
            % {"first": first, "last": last, "calls": step.calls}
        )
        first = last + 1
    return said


def ramp_facts(row: PhoneNumber) -> dict[str, Any]:
    """For the number's page."""
    kept = NumberRamp.objects.filter(number=row).first()
    on = kept is not None and kept.plan != RampPlan.OFF
    return {
        "ramp_said": ramps_said([row])[row.pk],
        "ramp_steps": steps_said(ramp.steps_of(kept)) if kept is not None and on else [],
    }


def ramps_said(rows: Iterable[PhoneNumber]) -> dict[int, str]:
    """What each may still do today, in a sentence, by its pk."""
    numbers = {row.pk: row.number for row in rows}
    plans = {each.number_id: each for each in NumberRamp.objects.filter(number__in=list(numbers))}
    states = ramp.states(now=timezone.now()) if plans else {}
    return {pk: _said(plans.get(pk), states.get(number)) for pk, number in numbers.items()}


def _said(kept: NumberRamp | None, state: ramp.RampState | None) -> str:
    if kept is None or kept.plan == RampPlan.OFF:
        return _("No limit a day of its own.")
    if state is None:
        return _("Through its first weeks: no limit a day of its own any more.")
    told = {"used": state.used, "most": state.most, "day": state.day, "days": state.days}
    if not state.day:
        return _("At most %(most)d calls on its first day, which is that of its next call.") % told
    return _("%(used)d of %(most)d calls today, day %(day)d of %(days)d.") % told
