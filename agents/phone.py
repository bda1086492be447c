"""The only place where a phone string is cleaned.

Everything past this file is E.164: '+' and 7 to 15 digits (ITU-T E.164).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import phonenumbers
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from phonenumbers import timezone as number_zones

E164 = re.compile(r"^\+[1-9]\d{6,14}$")
# Digits, and what people put between them: spaces, dots, slashes, parentheses, every kind of dash.
STRANGE = re.compile(r"[^\d+().\-/\s\u2010-\u2015\u2212]")
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

    Nothing is guessed: what holds anything but a number, or reads as two, is refused.
    Raises BadNumber with code `empty`, `spreadsheet`, `unreadable`, `extension`, `no_country`, `impossible`.
    """
    text = _plain(str(raw or ""))
    if not text:
        raise BadNumber(_("There is no phone number."), code="empty")
    told = {"raw": str(raw).strip()[:40]}
    if SPREADSHEET_DAMAGE.match(text):
        raise BadNumber(
            _("A spreadsheet has damaged this number (%(raw)s): digits are lost. Format the column as text."),
            code="spreadsheet",
            params=told,
        )
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException as error:
        raise BadNumber(_("“%(raw)s” is not a phone number."), code="unreadable", params=told) from error
    if number.extension:
        raise BadNumber(
            _("“%(raw)s” has an extension; a direct number is needed."), code="extension", params=told
        )
    _refuse_strange(text, told)
    cleaned = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    _refuse_two_readings(text, number, cleaned, told)
    if not phonenumbers.is_possible_number(number) or not is_e164(cleaned):
        raise BadNumber(_("“%(raw)s” has the wrong number of digits."), code="impossible", params=told)
    return cleaned


def _plain(raw: str) -> str:
    """Without what cannot be seen (address books copy marks of direction along), `tel:`, and '00' for '+'."""
    seen = "".join(sign for sign in raw if unicodedata.category(sign) != "Cf")
    text = unicodedata.normalize("NFKC", seen).strip()
    text = re.sub(r"^tel:\s*", "", text, flags=re.IGNORECASE)
    return "+" + text[2:] if text.startswith("00") else text


def _refuse_strange(text: str, told: dict[str, str]) -> None:
    """phonenumbers reads a number out of a sentence: right for a letter, wrong for a field."""
    found = STRANGE.search(text)
    if found:
        raise BadNumber(
            _("“%(raw)s” is not a phone number: “%(sign)s” does not belong in one."),
            code="unreadable",
            params={**told, "sign": found.group()},
        )
    if "+" in text.lstrip("( ")[1:]:
        raise BadNumber(
            _("“%(raw)s” is not a phone number: a “+” belongs at its beginning."),
            code="unreadable",
            params=told,
        )


def _refuse_two_readings(
    text: str, national: phonenumbers.PhoneNumber, cleaned: str, told: dict[str, str]
) -> None:
    """A number without '+' that is rather one with its country: 4915... in Germany is hardly +49 49 15...

    Which one was meant is not for us to choose: the other telephone belongs to somebody else.
    """
    other = "+" + "".join(sign for sign in text if sign.isdecimal())
    if text.lstrip("( ").startswith("+") or other == cleaned or not is_e164(other):
        return
    doubled = other.startswith(f"+{national.country_code}")
    if phonenumbers.is_valid_number(national) and not doubled:
        return
    try:
        abroad = phonenumbers.is_valid_number(phonenumbers.parse(other))
    except phonenumbers.NumberParseException:
        return
    if abroad:
        raise BadNumber(
            _("“%(raw)s” has no “+”: did you mean %(other)s?"),
            code="no_country",
            params={**told, "other": other},
        )


def is_e164(text: str) -> bool:
    return text.isascii() and bool(E164.fullmatch(text))


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
