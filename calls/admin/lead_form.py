"""Adding and editing a lead: numbers cleaned, zones that exist, custom fields as lines of text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from agents import phone
from calls.admin.lead_filters import shown_name, staff
from calls.models import Lead, LeadPhone, ZoneSource

LONGEST_CUSTOM = 20_000


@lru_cache(maxsize=1)
def zone_choices() -> list[tuple[str, Any]]:
    """Every zone by region, as a select that can be typed into."""
    regions: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(available_timezones()):
        region, slash, place = name.partition("/")
        if slash and region not in {
            "Etc",
            "SystemV",
            "posix",
            "right",
            "US",
            "Canada",
            "Brazil",
            "Chile",
            "Mexico",
        }:
            regions.setdefault(region, []).append((name, f"{region}/{place.replace('_', ' ')}"))
    return [("", gettext_lazy("From the number")), *regions.items()]


class LeadForm(forms.ModelForm[Lead]):
    time_zone = forms.CharField(
        label=gettext_lazy("Time zone"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("Leave it to the number unless the person is somewhere else."),
    )
    custom_lines = forms.CharField(
        label=gettext_lazy("More about this lead"),
        required=False,
        max_length=LONGEST_CUSTOM,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy("One a line, such as “plan: Premium”. AI agents can say these as {{plan}}."),
    )

    class Meta:
        model = Lead
        fields = [
            "name", "company", "email", "reason", "status", "next_action", "next_action_at",
            "list", "owner", "time_zone", "external_id",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone: Any = self.fields["time_zone"]
        here = self.instance.time_zone
        known = [*zone_choices()]
        if here and here not in available_timezones():
            known.append((here, here))
        zone.widget.choices = known
        when: Any = self.fields["next_action_at"].widget
        for part, label in zip(
            when.widgets, [_("Date of the next action"), _("Time of the next action")], strict=True
        ):
            part.attrs["aria-label"] = label
        owner: Any = self.fields["owner"]
        owner.queryset = staff()
        owner.label_from_instance = shown_name
        self.fields["custom_lines"].initial = "\n".join(
            f"{name}: {value}" for name, value in self.instance.custom.items()
        )

    def clean_time_zone(self) -> str:
        name = str(self.cleaned_data["time_zone"]).strip()
        if name and name not in available_timezones():
            raise forms.ValidationError(_("“%(name)s” is not a time zone.") % {"name": name})
        return name

    def clean_custom_lines(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self.cleaned_data["custom_lines"].splitlines():
            name, colon, value = line.partition(":")
            if not line.strip():
                continue
            if not colon or not name.strip():
                raise forms.ValidationError(
                    _("“%(line)s” has no name and colon in front.") % {"line": line[:80]}
                )
            found[name.strip()] = value.strip()
        return found

    def save(self, commit: bool = True) -> Lead:
        lead = self.instance
        lead.custom = self.cleaned_data["custom_lines"]
        lead.time_zone_source = ZoneSource.STATED if lead.time_zone else ZoneSource.UNKNOWN
        return super().save(commit)


class PhoneForm(forms.ModelForm[LeadPhone]):
    number = forms.CharField(
        label=gettext_lazy("Number"),
        max_length=60,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "tel", "autocomplete": "off"}),
    )

    class Meta:
        model = LeadPhone
        fields = ["number", "kind", "position", "state"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            # In a table the heading is nobody's label.
            field.widget.attrs["aria-label"] = str(field.label)
        if self.instance.pk:
            self.initial["number"] = phone.pretty(self.instance.number)

    def clean_number(self) -> str:
        return phone.to_e164(self.cleaned_data["number"], country=settings.DEFAULT_COUNTRY)


class PhoneInline(TabularInline):
    model = LeadPhone
    form = PhoneForm
    extra = 1
    show_title = False
    verbose_name_plural = gettext_lazy("Phone numbers: the lowest order that is valid is dialled")
