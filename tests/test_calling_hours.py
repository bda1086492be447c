"""Nobody is called outside calling hours in any zone they may be in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import phone
from calls.eligibility.hours import Hours, local_times, window, within

NINE_TO_EIGHT = window("09:00-20:00")
NEW_YORK, LOS_ANGELES, KOLKATA, KIRITIMATI = (
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_it_is_open_from_the_first_minute_and_closed_at_the_last() -> None:
    nine = at("2026-11-23 14:00")
    assert within([NEW_YORK], nine, NINE_TO_EIGHT) == Hours(True, nine, at("2026-11-24 01:00"))
    before = within([NEW_YORK], nine - timedelta(seconds=1), NINE_TO_EIGHT)
    assert (before.open, before.opens_at) == (False, nine)
    assert not within([NEW_YORK], at("2026-11-24 01:00"), NINE_TO_EIGHT).open


def test_with_two_zones_possible_both_must_be_within_hours() -> None:
    nine_in_new_york = at("2026-11-23 14:00")
    both = within([NEW_YORK, LOS_ANGELES], nine_in_new_york, NINE_TO_EIGHT)
    assert both.open is False
    assert both.opens_at == at("2026-11-23 17:00")
    assert both.closes_at == at("2026-11-24 01:00")


def test_zones_that_share_no_hour_are_never_open() -> None:
    assert within([NEW_YORK, "Asia/Shanghai"], at("2026-11-23 14:00"), window("12:00-13:00")) == Hours(
        False, None, None
    )


def test_midnight_may_end_the_day() -> None:
    late = at("2026-11-23 23:59")
    assert within(["UTC"], late, window("09:00-24:00")).open
    assert within(["UTC"], late, window("00:00-24:00")).closes_at == at("2026-11-24 00:00")
    assert not within(["UTC"], at("2026-11-24 00:00"), window("09:00-24:00")).open


@pytest.mark.parametrize(
    ("day", "opens"), [("2026-03-08 06:00", "2026-03-08 13:00"), ("2026-11-01 05:30", "2026-11-01 14:00")]
)
def test_nine_stays_nine_on_the_day_the_clocks_change(day: str, opens: str) -> None:
    assert within([NEW_YORK], at(day), NINE_TO_EIGHT).opens_at == at(opens)


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+14155550100", [LOS_ANGELES]),  # an area code
        (
            "+447700900123",
            ["Europe/London"],
        ),  # a range of fiction: no plan lists it, but its prefix has one clock
        ("+441632960123", ["Europe/London"]),
        ("+447911123456", ["Europe/London"]),  # a mobile; Guernsey, Jersey and Man keep London's clock
        ("+33639980123", ["Europe/Paris"]),
        ("+393123456789", ["Europe/Rome"]),
        ("+34600000000", ["Atlantic/Canary", "Europe/Madrid"]),
        ("+18005550100", []),  # toll-free
        ("+19005550100", []),  # premium rate
        ("+15005550100", []),  # a personal number
        ("+448081570000", []),
        ("+15555550100", []),  # no such area code, and the country has many clocks
        ("+870773111632", []),  # a satellite telephone
        ("nonsense", []),
    ],
)
def test_a_number_tells_every_zone_it_may_be_in_or_none(number: str, zones: list[str]) -> None:
    assert list(phone.zones_of(number)) == zones


AUSTRALIAN_MOBILE, RUSSIAN_MOBILE = "+61491570156", "+79161234567"


@pytest.mark.parametrize(
    ("number", "moment", "opens", "closes"),
    [
        # In November: nine on Cocos is 02:30 UTC; twenty on Lord Howe and in Sydney is 09:00.
        (AUSTRALIAN_MOBILE, "2026-11-23 02:29", "2026-11-23 02:30", "2026-11-23 09:00"),
        (AUSTRALIAN_MOBILE, "2026-11-23 09:00", "2026-11-24 02:30", "2026-11-24 09:00"),
        # From Kaliningrad to Kamchatka an hour is left: 07:00 to 08:00 UTC.
        (RUSSIAN_MOBILE, "2026-11-23 03:00", "2026-11-23 07:00", "2026-11-23 08:00"),
        ("+447700900123", "2026-11-23 08:59", "2026-11-23 09:00", "2026-11-23 20:00"),
        ("+447700900123", "2026-07-01 07:00", "2026-07-01 08:00", "2026-07-01 19:00"),
    ],
)
def test_a_number_of_many_zones_is_called_only_in_the_hours_all_of_them_share(
    number: str, moment: str, opens: str, closes: str
) -> None:
    found = within(phone.zones_of(number), at(moment), NINE_TO_EIGHT)
    assert found == Hours(False, at(opens), at(closes))
    assert within(phone.zones_of(number), at(opens), NINE_TO_EIGHT).open


def test_of_many_clocks_the_earliest_and_the_latest_are_shown() -> None:
    shown = local_times(None, AUSTRALIAN_MOBILE, at("2026-11-23 03:00"))
    assert [f"{clock:%H:%M}" for _zone, clock in shown] == ["09:30", "14:00"]
    assert [zone for zone, _clock in local_times(None, "+447911123456", at("2026-11-23 03:00"))] == [
        "Europe/London"
    ]
    assert local_times(None, "+18005550100", at("2026-11-23 03:00")) == []


@settings(max_examples=300, deadline=None)
@given(
    moment=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001  made aware below
    zones=st.lists(
        st.sampled_from([NEW_YORK, LOS_ANGELES, KOLKATA, KIRITIMATI, "Europe/Berlin"]), min_size=1, max_size=3
    ),
)
def test_the_opening_found_is_within_hours_everywhere(moment: datetime, zones: list[str]) -> None:
    now = moment.replace(tzinfo=UTC)
    found = within(zones, now, NINE_TO_EIGHT)
    if found.opens_at is None:
        return
    assert found.opens_at >= now
    for zone in zones:
        local = found.opens_at.astimezone(ZoneInfo(zone))
        assert 9 <= local.hour < 20
