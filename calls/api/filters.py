"""Query filters, as strict as bodies: a filter that cannot be read is an error, never "everything"."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field

from agents import phone
from calls.api.fields import LARGEST_ID, PHONE_COMPONENT, WITH_OFFSET, as_e164, in_utc


class StrictForm(forms.Form):
    """An empty value asks for nothing and is therefore a mistake, not a filter left out."""

    def clean(self) -> dict[str, Any] | None:
        for name in self.fields:
            if name in self.data and not self.data[name].strip():
                self.add_error(
                    name, forms.ValidationError(_("Give a value, or leave the filter out."), "blank")
                )
        return super().clean()


class StrictFilterSet(django_filters.FilterSet):  # type: ignore[misc]
    class Meta:
        form = StrictForm


class NumberField(forms.CharField):
    def clean(self, value: Any) -> str:
        # A "+" that was not escaped in the address arrives as a space.
        text = str(super().clean(value) or "")
        if not text:
            return ""
        try:
            return as_e164("+" + text[1:] if text[0] == " " else text)
        except phone.BadNumber as problem:
            raise forms.ValidationError(problem.messages[0], code=problem.code) from problem


@extend_schema_field({"$ref": f"#/components/schemas/{PHONE_COMPONENT}"})
class NumberFilter(django_filters.Filter):  # type: ignore[misc]
    """A telephone number in any spelling."""

    field_class = NumberField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, strip=False, **kwargs)


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": LARGEST_ID})
class IdFilter(django_filters.Filter):  # type: ignore[misc]
    """The id of a row; of one that is not there or not yours: no results."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=1, max_value=LARGEST_ID, **kwargs)


class MomentField(django_filters.fields.IsoDateTimeField):  # type: ignore[misc]
    def clean(self, value: Any) -> Any:
        # As in numbers: the "+" of an offset arrives as a space when it was not escaped.
        text = str(value or "").strip().replace(" ", "+")
        if text and not WITH_OFFSET.search(text):
            raise forms.ValidationError(_("Write the offset too: 2026-11-20T09:00:00+01:00."), "no_offset")
        moment = super().clean(text)
        return in_utc(moment) if moment else None


class MomentFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]
    """RFC 3339, with an offset."""

    field_class = MomentField
