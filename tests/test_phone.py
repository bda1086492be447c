"""One home for phone numbers: every human spelling is read, and nothing is guessed."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from agents import phone
from calls.people.reading import Table
from calls.people.rows import read_rows
from tests.api_client import LEADS, Api, problem

NUMBER = "+14155550142"
SPELLINGS = [
    "+14155550142",
    "+1 415 555 0142",
    "+1 (415) 555-0142",
    "(+1) 415.555.0142",
    "001 415 555 0142",
    "tel:+1-415-555-0142",
    "TEL: +14155550142",
    "(415) 555-0142",
    "415/555 0142",
    "1-415-555-0142",
    "+1\u00a0415\u2011555\u20110142",
    "\u202a+1 (415) 555-0142\u202c",
    "\uff0b\uff11 415 555 0142",
]
REFUSED = [
    ("", "empty"),
    ("  ", "empty"),
    ("4.15556E+10", "spreadsheet"),
    ("+42050025238322*", "unreadable"),
    ("+14155550142*", "unreadable"),
    ("call +1 415 555 0142", "unreadable"),
    ("+1 415 555 0142 (mobile)", "unreadable"),
    ("+1 415 555 0142, +1 415 555 0143", "unreadable"),
    ("+1 415 555 0142 + 3", "unreadable"),
    ("++14155550142", "unreadable"),
    ("1-800-FLOWERS", "unreadable"),
    ("<b>+14155550142</b>", "unreadable"),
    ("tel:0142;phone-context=+1415555", "unreadable"),
    ("nobody", "unreadable"),
    ("+1 415 555 0142 x5", "extension"),
    ("+1 415 555 0142 ext. 5", "extension"),
    ("tel:+1-415-555-0142;ext=5", "extension"),
    ("+1415555", "impossible"),
    ("+141555501420143", "impossible"),
]
ONE_READING = [
    ("030 23125000", "DE", "+493023125000"),
    ("30 23125000", "DE", "+493023125000"),
    ("+49 (0)30 23125000", "DE", "+493023125000"),
    ("49 30 23125000", "DE", "+493023125000"),
    ("0049 30 23125000", "US", "+493023125000"),
    ("07700 900123", "GB", "+447700900123"),
    ("447700900123", "GB", "+447700900123"),
]
TWO_READINGS = [
    ("4915123456789", "DE", "+4915123456789"),
    ("14155550142", "DE", "+14155550142"),
    ("1 (415) 555-0142", "DE", "+14155550142"),
    ("442079460000", "US", "+442079460000"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_number_is_read_in_the_spellings_people_use(spelling: str) -> None:
    assert phone.to_e164(spelling, country="US") == NUMBER


@pytest.mark.parametrize(("raw", "code"), REFUSED)
def test_what_is_no_number_and_nothing_else_is_refused_with_the_reason(raw: str, code: str) -> None:
    with pytest.raises(phone.BadNumber) as refused:
        phone.to_e164(raw, country="US")
    assert refused.value.code == code
    assert raw.strip() in refused.value.messages[0]


@pytest.mark.parametrize(("raw", "country", "number"), ONE_READING)
def test_a_number_without_its_country_is_one_of_the_companys(raw: str, country: str, number: str) -> None:
    assert phone.to_e164(raw, country=country) == number


@pytest.mark.parametrize(("raw", "country", "meant"), TWO_READINGS)
def test_a_number_that_may_be_another_countrys_is_asked_about_and_never_guessed(
    raw: str, country: str, meant: str
) -> None:
    with pytest.raises(phone.BadNumber) as refused:
        phone.to_e164(raw, country=country)
    assert refused.value.code == "no_country"
    assert f"did you mean {meant}?" in refused.value.messages[0]


@pytest.mark.parametrize(
    "text", [NUMBER + "\n", "+\u0661\u0664\u0661\u0665\u0665\u0665\u0660", "14155550142", "+0415555"]
)
def test_e164_is_a_plus_and_plain_digits_to_the_last(text: str) -> None:
    assert not phone.is_e164(text)


@pytest.mark.django_db
@pytest.mark.parametrize("raw", ["+14155550142*", "14155550142"])
def test_every_door_refuses_it_alike(settings: LazySettings, raw: str) -> None:
    settings.DEFAULT_COUNTRY = "DE"
    with pytest.raises(phone.BadNumber) as refused:
        phone.to_e164(raw, country="DE")
    (sentence,) = refused.value.messages
    table = Table(("Name", "Phone"), [(2, ("Ada Sample", raw))])
    (row,) = read_rows(table, {"Name": "name", "Phone": "phone"}, country="DE")
    assert row.problems == (sentence,)
    told = problem(Api().post(LEADS, {"name": "Ada Sample", "phone": raw}), 400, "invalid")
    assert told["errors"]["phone"] == [{"code": refused.value.code, "detail": sentence}]
