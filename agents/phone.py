"""The only place where a phone string is cleaned.

Everything past this file is E.164: '+' and 7 to 15 digits (ITU-T E.164).
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from phonenumbers import timezone as number_zones

E164 = re.compile(r"^\+[1-9]\d{6,14}$")
SPREADSHEET_DAMAGE = re.compile(r"^\s*\+?\d+([.,]\d+)?[eE]\+?\d+\s*$")
UNKNOWN_ZONE = "Etc/Unknown"
SAME_CLOCK = {
    "Arctic/Longyearbyen": "Europe/Oslo",
    "Europe/Guernsey": "Europe/London",
    "Europe/Isle_of_Man": "Europe/London",
    "Europe/Jersey": "Europe/London",
    "Europe/Mariehamn": "Europe/Helsinki",
    "Europe/Vatican": "Europe/Rome",
}
"""Zones that share a calling code and are links to one another in the tz database (its file `backward`)."""
NOWHERE = frozenset(
    {
        phonenumbers.PhoneNumberType.TOLL_FREE,
        phonenumbers.PhoneNumberType.PREMIUM_RATE,
        phonenumbers.PhoneNumberType.SHARED_COST,
        phonenumbers.PhoneNumberType.PERSONAL_NUMBER,
        phonenumbers.PhoneNumberType.UAN,
        phonenumbers.PhoneNumberType.VOICEMAIL,
    }
)
"""Kinds of numbers that are forwarded to wherever their owner likes."""


class BadNumber(ValidationError):
    """A string that is no telephone number; `code` says what is wrong with it."""


def to_e164(raw: str, *, country: str) -> str:
    """Clean any spelling of a number; `country` (ISO alpha-2) is used when it has no '+' or '00'.

    Raises BadNumber with code `empty`, `spreadsheet`, `unreadable`, `impossible`.
    """
    text = str(raw or "").strip()
    if not text:
        raise BadNumber(_("There is no phone number."), code="empty")
    if SPREADSHEET_DAMAGE.match(text):
        raise BadNumber(
            _("A spreadsheet has damaged this number (%(raw)s): digits are lost. Format the column as text."),
            code="spreadsheet",
            params={"raw": text},
        )
    if text.startswith("00"):
        text = "+" + text[2:]
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException as error:
        raise BadNumber(
            _("“%(raw)s” is not a phone number."), code="unreadable", params={"raw": raw}
        ) from error
    if number.extension:
        raise BadNumber(
            _("“%(raw)s” has an extension; a direct number is needed."), code="extension", params={"raw": raw}
        )
    cleaned = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_possible_number(number) or not E164.match(cleaned):
        raise BadNumber(
            _("“%(raw)s” has the wrong number of digits."), code="impossible", params={"raw": raw}
        )
    return cleaned


def is_e164(text: str) -> bool:
    return bool(E164.match(text))


def pretty(e164: str) -> str:
    """+14155550101 as '+1 415-555-0101'; anything unreadable comes back unchanged."""
    try:
        return phonenumbers.format_number(
            phonenumbers.parse(e164), phonenumbers.PhoneNumberFormat.INTERNATIONAL
        )
    except phonenumbers.NumberParseException:
        return e164


@lru_cache(maxsize=20_000)
def zones_of(e164: str) -> tuple[str, ...]:
    """Every time zone the number may be in; empty when it tells nothing.

    A mobile number may be anywhere in its country, and all of the country's zones are told. A range that the
    plan does not list (numbers of fiction, of tomorrow) is known only where its prefix leaves one clock.
    """
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return ()
    kind = phonenumbers.number_type(number)
    if kind in NOWHERE:
        return ()
    listed = kind != phonenumbers.PhoneNumberType.UNKNOWN
    find = number_zones.time_zones_for_number if listed else number_zones.time_zones_for_geographical_number
    found = dict.fromkeys(SAME_CLOCK.get(zone, zone) for zone in find(number) if zone != UNKNOWN_ZONE)
    return tuple(found) if listed or len(found) == 1 else ()


def country_of(e164: str) -> str:
    """ISO alpha-2, '' when unknown."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(e164)) or ""
    except phonenumbers.NumberParseException:
        return ""


def digits(text: str) -> str:
    """What a search in any spelling compares: the digits alone, without an international prefix."""
    found = re.sub(r"\D", "", text)
    return found.removeprefix("00")
