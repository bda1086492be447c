"""The form of a telephone menu: what is kept, what is refused, and the page that says what will be heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from twilio_wire import STAFF

from calls import menus
from calls.models import Menu, StaffPhone, VoicePlace
from tests import factories

pytestmark = [pytest.mark.django_db]


def make_desk() -> StaffPhone:
    return StaffPhone.objects.create(user=User.objects.create_user("dana"), number=STAFF)


def test_a_number_that_leads_to_a_menu_is_not_rung_for_its_agent() -> None:
    agent, now = factories.make_agent(), timezone.now()
    round_in_circles = factories.make_number(inbound_agent=agent)
    office = Menu.objects.create(name="Office", greeting="Hello.")
    VoicePlace.objects.create(
        kind="number", sid="PN1", name=round_in_circles.number, menu=office, seen_at=now
    )
    assert menus.agents_number(agent) == ""
    answered = factories.make_number(inbound_agent=agent)
    assert menus.agents_number(agent) == answered.number
    assert menus.agents_number(agent, but=answered.number) == ""


class TestEditing:
    def form(self, *keys: dict[str, Any], **fields: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "name": "Office", "greeting": "Hello.", "silence": "Nothing.", "wrong_key": "Wrong.",
            "tries": "2", "at_end": "goodbye", "notice": "Speak.", "goodbye": "Bye.",
            "keys-TOTAL_FORMS": str(len(keys)), "keys-INITIAL_FORMS": "0", **fields,
        }  # fmt: skip
        for nth, key in enumerate(keys):
            given |= {f"keys-{nth}-{name}": value for name, value in key.items()}
        return given

    def test_a_menu_is_made_with_its_keys_and_shown_as_it_will_be_heard(
        self, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        client, desk = sign_in(manager), make_desk()
        made = client.post(
            "/admin/calls/menu/add/",
            self.form(
                {"key": "1", "what": "desk", "desk": desk.pk},
                {"key": "9", "what": "never", "desk": desk.pk, "offered_as": "for peace and quiet"},
            ),
        )
        menu = Menu.objects.get()
        assert made["Location"] == f"/admin/calls/menu/{menu.pk}/change/"
        assert [key.desk for key in menu.keys.all()] == [desk, None]
        page = client.get(made["Location"]).text
        assert "Hello. Press 1 to speak with one of us. Press 9 for peace and quiet." in page
        assert "+1 415-555-0101 rings; whoever presses 1 there takes it" in page

    @pytest.mark.parametrize(
        ("keys", "problem"),
        [
            ([{"key": "1", "what": "desk"}], "Choose the telephone."),
            ([{"key": "1", "what": "agent"}], "Choose the AI agent."),
            ([{"key": "0", "what": "message"}], "0 is not one of the available choices"),
            (
                [{"key": "1", "what": "message"}, {"key": "1", "what": "never"}],
                "Please correct the duplicate",
            ),
        ],
    )
    def test_what_makes_no_sense_is_refused_and_nothing_typed_is_lost(
        self, manager: User, sign_in: Callable[[User], Client], keys: list[dict[str, Any]], problem: str
    ) -> None:
        page = sign_in(manager).post("/admin/calls/menu/add/", self.form(*keys)).text
        assert problem in page
        assert 'value="Office"' in page
        assert not Menu.objects.exists()

    def test_an_agent_that_answers_no_number_cannot_be_chosen(
        self, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        key = {"key": "1", "what": "agent", "agent": factories.make_agent().pk}
        page = sign_in(manager).post("/admin/calls/menu/add/", self.form(key)).text
        assert "It answers none of our numbers yet" in page

    def test_sales_staff_neither_see_nor_change_menus(
        self, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        client, menu = sign_in(sales), Menu.objects.create(name="Office", greeting="Hello.")
        for tail in ("change/", "edit/"):
            assert client.get(f"/admin/calls/menu/{menu.pk}/{tail}").status_code == 403
        assert client.post(f"/admin/calls/menu/{menu.pk}/look/").status_code == 403
