"""Fields that read what JSON says and nothing else: no number is taken for a text, no text for a number."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

import phonenumbers
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents import phone

PHONE_COMPONENT = "PhoneNumber"
ZONE_COMPONENT = "TimeZone"
ANYTHING_COMPONENT = "Anything"
ANY_TEXT = r"^[^\x00]*$"
LARGEST_ID = 2**63 - 1
LARGEST_METADATA = 50_000
"""As much as Retell takes."""
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
WITH_OFFSET = re.compile(r"T\d{2}:\d{2}.*(Z|[+-]\d{2}:?\d{2})$", re.IGNORECASE)


class Text(serializers.CharField):
    """A text, without white space around it; one that must not be blank says so in the schema."""

    default_error_messages = {"not_text": _("This must be a text.")}

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        value = super().run_validation(data)
        if not isinstance(value, str):
            return value
        if not value.strip() and not self.allow_blank:
            self.fail("blank")
        return value.strip()

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_text")
        return str(data)


@extend_schema_field({"type": "string", "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$", "maxLength": 200})
class Name(Text):
    """Of a person: never blank."""


@extend_schema_field({"type": "string", "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$", "maxLength": 300})
class Why(Text):
    """A reason that somebody reads later: never blank."""


@extend_schema_field({"anyOf": [{"type": "string", "format": "email", "maxLength": 254}, {"const": ""}]})
class Email(serializers.EmailField):
    default_error_messages = {"not_text": _("This must be a text.")}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_text")
        return str(super().to_internal_value(data))

    def to_representation(self, value: str) -> str | None:  # type: ignore[override]
        return value or None


def as_e164(text: str) -> str:
    """Raises BadNumber."""
    return phone.to_e164(text, country=settings.DEFAULT_COUNTRY)


@extend_schema_field({"$ref": f"#/components/schemas/{PHONE_COMPONENT}"})
class Phone(Text):
    """E.164. Other spellings are read too, those without a country as of DEFAULT_COUNTRY."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return as_e164(text)
        except phone.BadNumber as problem:
            raise serializers.ValidationError(problem.messages, code=problem.code) from problem


class E164(Phone):
    """A number as it goes out: E.164 and no other spelling."""

    default_error_messages = {
        "not_e164": _(
            "“{given}” is not in E.164. Write a “+”, the country code and the number: 7 to 15 digits, the "
            "first not 0, and nothing between them, as in +14155550101 ({rule})."
        )
    }

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, str) and not phone.is_e164(data):
            self.fail("not_e164", given=data[:40], rule=phone.E164.pattern)
        return super().to_internal_value(data)


@lru_cache(maxsize=1)
def zones_by_folded_name() -> dict[str, str]:
    return {name.casefold(): name for name in sorted(available_timezones()) if name != "localtime"}


@extend_schema_field({"anyOf": [{"$ref": f"#/components/schemas/{ZONE_COMPONENT}"}, {"const": ""}]})
class Zone(Text):
    """Such as Europe/Berlin."""

    default_error_messages = {"no_zone": _("“{given}” is not a time zone. Write it as Europe/Berlin.")}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data).strip()
        if not text:
            return ""
        name = zones_by_folded_name().get(text.casefold())
        if name is None:
            self.fail("no_zone", given=text[:64])
        return str(name)

    def to_representation(self, value: str) -> str | None:  # type: ignore[override]
        return value or None


@extend_schema_field({"type": "integer"})
class Id(serializers.Field[int, Any, int, Any]):
    """The id of a row: a whole number, not a text that looks like one. 7.0 is 7, as in JSON Schema."""

    default_error_messages = {"invalid": _("This must be a whole number.")}

    def to_internal_value(self, data: Any) -> int:
        whole = isinstance(data, int) or (isinstance(data, float) and data.is_integer())
        if isinstance(data, bool) or not whole:
            self.fail("invalid")
        return int(data)


class Flag(serializers.BooleanField):
    """true or false, not a text or a number that may mean it."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


def in_utc(moment: datetime) -> datetime:
    """An aware moment; one that lies outside the calendar in UTC is the calendar's first or last."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return FIRST if moment.year == 1 else LAST


class Moment(serializers.DateTimeField):
    """RFC 3339 with an offset: “09:00” without one would be nine o'clock nobody knows where."""

    default_error_messages = {"no_offset": _("Write the offset too: 2026-11-20T09:00:00+01:00.")}

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="2026-11-20T09:00:00+01:00")
        if not WITH_OFFSET.search(value):
            self.fail("no_offset")
        return super().to_internal_value(value)

    def enforce_timezone(self, value: datetime) -> datetime:
        return in_utc(value)


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean", "null"], "pattern": ANY_TEXT},
        "propertyNames": {"pattern": ANY_TEXT, "maxLength": 100},
        "maxProperties": 100,
    }
)
class CustomFields(serializers.DictField):
    """{name: text, number, true, false or null}: flat, because each can be said as a variable."""

    default_error_messages = {
        "too_many": _("At most {most} are kept."),
        "name_too_long": _("A name is at most {most} characters."),
        "nested": _("“{name}” must be a text, a number, true, false or null."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().to_internal_value(data)
        if len(found) > 100:
            self.fail("too_many", most=100)
        for name, value in found.items():
            if len(name) > 100:
                self.fail("name_too_long", most=100)
            if isinstance(value, (dict, list)):
                self.fail("nested", name=name)
        return found


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": "string", "pattern": ANY_TEXT},
        "propertyNames": {"pattern": ANY_TEXT, "maxLength": 100},
        "maxProperties": 100,
    }
)
class Variables(CustomFields):
    """{name: text} for the agent's prompt."""

    default_error_messages = {"nested": _("“{name}” must be a text.")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        found = super().to_internal_value(data)
        for name, value in found.items():
            if not isinstance(value, str):
                self.fail("nested", name=name)
        return found


ANYTHING: dict[str, Any] = {
    "description": "Any JSON.",
    "anyOf": [
        {"type": "string", "pattern": ANY_TEXT},
        {"type": ["number", "boolean", "null"]},
        {"type": "array", "items": {"$ref": f"#/components/schemas/{ANYTHING_COMPONENT}"}, "maxItems": 100},
        {
            "type": "object",
            "additionalProperties": {"$ref": f"#/components/schemas/{ANYTHING_COMPONENT}"},
            "propertyNames": {"pattern": ANY_TEXT},
        },
    ],
}


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"$ref": f"#/components/schemas/{ANYTHING_COMPONENT}"},
        "propertyNames": {"pattern": ANY_TEXT},
    }
)
class Metadata(serializers.DictField):
    """Any JSON object that the phone company gives back with each of its events."""

    default_error_messages = {"too_large": _("At most {most} bytes as JSON.")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().to_internal_value(data)
        if len(json.dumps(found).encode()) > LARGEST_METADATA:
            self.fail("too_large", most=LARGEST_METADATA)
        return found


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": ["string", "null"], "pattern": ANY_TEXT, "maxLength": 1000},
        "propertyNames": {"pattern": ANY_TEXT, "maxLength": 100},
        "maxProperties": 100,
    }
)
class ChangedVariables(CustomFields):
    """{name: text, or null for none of ours}."""

    default_error_messages = {
        "nested": _("“{name}” must be a text or null."),
        "too_long": _("“{name}” is at most {most} characters."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        found = super().to_internal_value(data)
        for name, value in found.items():
            if value is not None and not isinstance(value, str):
                self.fail("nested", name=name)
            if len(value or "") > 1000:
                self.fail("too_long", name=name, most=1000)
        return found


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": ["string", "number"], "pattern": ANY_TEXT},
        "propertyNames": {"pattern": ANY_TEXT, "maxLength": 100},
        "maxProperties": 20,
    }
)
class Overrides(CustomFields):
    """{name: text or number}. Which there are, and their ranges, is the agent's and the contract's."""

    default_error_messages = {"nested": _("“{name}” must be a text or a number.")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        found = super().to_internal_value(data)
        if len(found) > 20:
            self.fail("too_many", most=20)
        for name, value in found.items():
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                self.fail("nested", name=name)
        return found


class Word(serializers.ChoiceField):
    """One of our words; null where there is none yet."""

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        return str(value) if value else None


class Told(serializers.CharField):
    """A text we were told; null where there is none."""

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        return str(value) if value else None


@lru_cache(maxsize=1)
def phone_pattern() -> str:
    """E.164 with the lengths each country's numbers can have: just what `agents.phone` takes as it stands."""
    by_lengths: dict[tuple[int, ...], list[str]] = {}
    for country, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        data = (
            phonenumbers.PhoneMetadata.metadata_for_nongeo_region(country, None)
            if regions[0] == "001"
            else phonenumbers.PhoneMetadata.metadata_for_region(regions[0], None)
        )
        possible = data.general_desc.possible_length if data and data.general_desc else ()
        lengths = tuple(n for n in possible if n >= 6 and len(str(country)) + n <= 15)
        by_lengths.setdefault(lengths, []).append(str(country))
    parts = [
        f"({'|'.join(sorted(codes))})({'|'.join(f'[0-9]{{{n}}}' for n in lengths)})"
        for lengths, codes in sorted(by_lengths.items())
        if lengths
    ]
    return rf"^\+({'|'.join(parts)})$"
