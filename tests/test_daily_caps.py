"""What the account may spend in a day: counted exactly, told at 80 %, the end of calling at 100 %."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from calls import dialer
from calls.dialer import caps, gate
from calls.dialer.caps import CapState, Level
from calls.dialer.claim import Nothing, claim_next
from calls.dialer.place import place
from calls.models import Call, CallStatus, CapChange, Gate
from calls.models.clock import database_now
from tests import factories
from tests.far_end import FarEnd, says
from tests.test_claiming import waiting_call
from tests.two_dialers import two_dialers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
SignIn = Callable[[User], Client]
PAGE = "/admin/calling/limits/"


@pytest.fixture(autouse=True)
def _few(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 100.0
    settings.DAILY_CALL_CAP = 3


def go(far: FarEnd | None = None) -> Call | Nothing:
    """Claim and place one call."""
    far = far or FarEnd()
    Gate.objects.filter(kind="line").update(next_slot_at=None, closed_until=None)
    call = claim_next(far.provider())
    if isinstance(call, Call):
        place(call, far.provider())
    return call


def claims() -> int:
    count = 0
    while isinstance(go(), Call):
        count += 1
    return count


@pytest.mark.parametrize(
    ("used", "most", "level"),
    [(0, None, "fine"), (10**9, None, "fine"), (79, 100, "fine"), (80, 100, "near"), (99, 100, "near"),
     (100, 100, "reached"), (101, 100, "reached"), (0, 1, "fine"), (1, 1, "reached")],
)  # fmt: skip
def test_a_limit_is_near_at_eighty_percent_and_reached_at_a_hundred(
    used: int, most: int | None, level: str
) -> None:
    assert CapState("calls", used, most).level == Level(level)


@pytest.mark.parametrize(
    ("zone", "now", "starts"),
    [
        ("UTC", "2026-03-02 14:30", "2026-03-02 00:00"),
        ("America/New_York", "2026-03-02 03:30", "2026-03-01 05:00"),
        ("Pacific/Auckland", "2026-03-02 14:30", "2026-03-02 11:00"),
    ],
)
def test_the_day_is_the_companys(zone: str, now: str, starts: str, settings: LazySettings) -> None:
    settings.COMPANY_TIME_ZONE = zone
    moment = factories.at(now)
    assert caps.day_of(moment)[1] == factories.at(starts)
    assert caps.day_ends(moment) - caps.day_of(moment)[1] == timedelta(days=1)


def test_the_queue_stops_at_the_limit_and_says_so() -> None:
    for _ in range(5):
        waiting_call()
    assert claims() == 3
    nothing = go()
    assert isinstance(nothing, Nothing)
    assert nothing.why == "daily_cap"
    gate.beat("dialer-1", "dialer", now=timezone.now())
    waits = dialer.waiting(Call.objects.filter(status="queued")[0], now=timezone.now())
    assert waits is not None
    assert (waits.code, waits.until) == ("daily_cap", caps.day_ends(timezone.now()))


def test_what_was_put_back_or_refused_is_not_counted() -> None:
    waiting_call()
    go(FarEnd([says(429, "slow")]))
    go(FarEnd([says(400, "to_number is not a valid E.164 phone number")]))
    for _ in range(5):
        waiting_call()
    assert claims() == 3
    assert Call.objects.exclude(sent_at=None).exclude(status="ended").count() == 3


def test_a_new_day_begins_at_nought() -> None:
    for _ in range(4):
        waiting_call()
    assert claims() == 3
    start = caps.day_of(timezone.now())[1]
    Call.objects.exclude(sent_at=None).update(sent_at=start - timedelta(seconds=1))
    Gate.objects.filter(kind="capacity").update(day=(start - timedelta(days=1)).date())
    assert claims() == 1


def test_minutes_and_money_stop_the_queue_too(administrator: User) -> None:
    waiting_call()
    now = database_now()
    ended = factories.make_call(status=CallStatus.ENDED, duration_ms=180_000, cost_micros=2_500_000)
    Call.objects.filter(pk=ended.pk).update(ended_at=now)
    talking = factories.make_call(status=CallStatus.IN_PROGRESS)
    Call.objects.filter(pk=talking.pk).update(answered_at=now - timedelta(minutes=2), slot_until=None)
    minutes = {each.kind: each.used for each in caps.today(now=now)}["minutes"]
    assert minutes in (3, 5)  # the two minutes still running lie in yesterday at midnight
    for kind, most in (("minutes", 3), ("money", 2_500_000)):
        caps.set_limit(kind, most, by=administrator, now=timezone.now())
        nothing = go()
        assert isinstance(nothing, Nothing)
        assert nothing.why == "daily_cap"
        caps.set_limit(kind, None, by=administrator, now=timezone.now())
    assert isinstance(go(), Call)


@pytest.mark.django_db(transaction=True)
def test_two_dialers_never_send_one_too_many(settings: LazySettings) -> None:
    settings.DAILY_CALL_CAP = 7
    for _ in range(12):
        waiting_call()
    with two_dialers(until="daily_cap"):
        pass
    assert Call.objects.exclude(sent_at=None).count() == 7


def banners(client: Client) -> str:
    cache.clear()
    return client.get("/admin/calls/lead/").content.decode()


def test_every_page_says_when_a_limit_is_near_and_when_it_is_reached(
    sales: User, sign_in: SignIn, settings: LazySettings
) -> None:
    settings.DAILY_CALL_CAP = 5
    client = sign_in(sales)
    for _ in range(4):
        assert "banner-cap-calls" not in banners(client)
        factories.make_call(status="placed")
    assert "limit is near: Calls out, 4 of 5" in banners(client)
    factories.make_call(status="placed")
    assert "limit is reached: Calls out, 5 of 5" in banners(client)


def test_administrators_change_limits_and_each_change_is_kept(
    manager: User, administrator: User, sign_in: SignIn
) -> None:
    client = sign_in(manager)
    page = client.get(PAGE).content.decode()
    assert "0 of 3" in page
    assert "Administrators change these limits" in page
    assert client.post(PAGE, {"calls": "9"}).status_code == 403
    client = sign_in(administrator)
    assert 'href="/admin/calling/limits/"' in client.get("/admin/").content.decode()
    client.post(PAGE, {"calls": "9", "minutes": "", "money": "12.50"})
    assert dict(caps.limits()) == {"calls": 9, "minutes": None, "money": 12_500_000}
    client.post(PAGE, {"calls": "9", "minutes": "60", "money": "12.50"})
    changes = [
        (each.kind, each.before, each.after, each.changed_by) for each in CapChange.objects.order_by("pk")
    ]
    assert changes == [
        ("calls", 3, 9, administrator),
        ("money", None, 12_500_000, administrator),
        ("minutes", None, 60, administrator),
    ]
    page = client.get(PAGE).content.decode()
    assert "no limit → 12.50" in page
    assert "3 → 9" in page
    assert 'value="12.5' in page
    assert client.post(PAGE, {"calls": "0"}).status_code == 200
    assert caps.limits()["calls"] == 9
