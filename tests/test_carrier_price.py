"""What the carrier tells of a call through our own Twilio account, and an estimate where it tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from desk_wire import in_talk, once, telephones
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from twilio_wire import LEAD, STAFF

from agents.providers.lines import line_name, over_own_trunk
from calls.models import Call, CallStatus, CarrierRate, Direction
from tests import factories

OUR_TRUNK = "custom:brightside.pstn.twilio.com"


@pytest.fixture
def rates(db: None) -> None:
    for prefix, price in (("+1415", "0.01"), ("+1415555", "0.014")):
        CarrierRate.objects.create(prefix=prefix, per_minute=price)


def ended_call(line: str = OUR_TRUNK, **fields: Any) -> Call:
    now = timezone.now()
    given = {"counterpart": LEAD, "duration_ms": 61_000, "answered_at": now - timedelta(minutes=2)}
    return factories.make_call(CallStatus.ENDED, line=line, **given | fields)


def head(client: Client, call: Call) -> str:
    page = client.get(f"/admin/calls/call/{call.pk}/change/").text
    return page[page.index("call-title") : page.index("talk-title")]


@pytest.mark.django_db
class TestAnEstimate:
    def test_begun_minutes_count_whole_at_the_price_of_the_longest_beginning(
        self, rates: None, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        assert "about $0.0280 more at the carrier (estimate)" in head(sign_in(manager), ended_call())

    @pytest.mark.parametrize(
        "fields",
        [
            {"line": "retell-twilio"},
            {"counterpart": "+12125550116"},
            {"duration_ms": 0, "answered_at": None},
            {"direction": Direction.INBOUND},
            {"agent": None, "provider": "twilio", "desk_number": STAFF},
        ],
        ids=["not over our trunk", "no price known", "not picked up", "a call in", "made by a person"],
    )
    def test_where_nothing_can_be_said_nothing_is_shown(
        self, rates: None, manager: User, sign_in: Callable[[User], Client], fields: dict[str, Any]
    ) -> None:
        assert "estimate" not in head(sign_in(manager), ended_call(**fields))

    def test_a_trunk_of_our_own_is_known_by_its_line(self) -> None:
        assert over_own_trunk(line_name("custom", "brightside.pstn.twilio.com"))
        assert over_own_trunk(line_name("custom", ""))
        assert not over_own_trunk(line_name("retell-twilio", "brightside.pstn.twilio.com"))

    def test_an_administrator_sets_prices_and_what_is_no_beginning_of_a_number_is_refused(
        self, administrator: User, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        assert sign_in(manager).get("/admin/calls/carrierrate/").status_code == 403
        client = sign_in(administrator)
        given = {"prefix": "0049", "per_minute": "0.02", "currency": "EUR"}
        answer = client.post("/admin/calls/carrierrate/add/", given)
        assert "A plus and the first digits" in answer.text
        client.post("/admin/calls/carrierrate/add/", given | {"prefix": "+49"})
        rate = CarrierRate.objects.get()
        assert (rate.prefix, rate.micros(60_000), rate.micros(60_001)) == ("+49", 20_000, 40_000)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("around_the_clock")
def test_how_far_the_carrier_vouched_for_our_number_is_kept_and_shown(
    live_server: Any, settings: LazySettings, sales: User, sign_in: Callable[[User], Client]
) -> None:
    with telephones(settings, live_server.url) as network:
        call = in_talk(sales)
        network.control("twilio/hang-up", number=LEAD)
        call = once(call, lambda call: call.status == CallStatus.ENDED)
    assert call.attestation == "A"
    page = sign_in(sales).get(f"/admin/calls/call/{call.pk}/change/").text
    assert "A: the carrier knows us, and that the number is ours" in page
