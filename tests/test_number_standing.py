"""A number's page: its good name as a checklist by hand, and how many calls a day it may make at first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.models import PhoneNumber
from calls.dialer import caps, ramp
from calls.dialer.ramp import Step
from calls.models import CallStatus, NumberRamp, NumberStanding, RampPlan, StandingItem
from tests import factories

pytestmark = [pytest.mark.django_db]
SignIn = Callable[[User], Client]
LIST = "/admin/agents/phonenumber/"


@pytest.fixture
def number() -> PhoneNumber:
    return factories.make_number(number="+14155550101", label="Sales")


def page_of(number: PhoneNumber) -> str:
    return f"{LIST}{number.pk}/change/"


def read(client: Client, path: str) -> str:
    return client.get(path).content.decode()


class TestChecklist:
    def test_each_item_says_what_it_is_for_and_where_it_is_done(
        self, number: PhoneNumber, manager: User, sign_in: SignIn
    ) -> None:
        page = read(sign_in(manager), page_of(number))
        assert "0 of 5" in page
        for item in StandingItem:
            assert str(item.label) in page
            assert f"{LIST}{number.pk}/standing/{item}/" in page
        for words in ("Customer Profiles", "SHAKEN/STIR trust product", "CNAM", "freecallerregistry.com"):
            assert words in page
        assert page.count("To be done.") == 5

    def test_what_was_done_is_kept_with_day_person_reference_and_note_and_logged(
        self, number: PhoneNumber, manager: User, sign_in: SignIn
    ) -> None:
        client, today = sign_in(manager), caps.day_of(timezone.now())[0]
        note = f"{LIST}{number.pk}/standing/attestation/"
        assert "signed with the highest attestation" in read(client, note)
        given = {"state": "done", "done_on": "2026-03-02", "reference": "BU77", "note": "<b>by Ana</b>"}
        page = client.post(note, given, follow=True).content.decode()
        assert "1 of 5" in page
        assert "Done on 2 Mar 2026." in page
        assert "Reference: BU77." in page
        assert "&lt;b&gt;by Ana&lt;/b&gt;" in page
        assert "Noted by Mona" in page
        row = NumberStanding.objects.get()
        assert (row.item, row.noted_by) == ("attestation", manager)
        assert LogEntry.objects.get().change_message == (
            "Attestation product (SHAKEN/STIR): done, 2026-03-02, BU77, <b>by Ana</b>"
        )
        assert 'value="2026-03-02"' in read(client, note)
        client.post(note, {**given, "done_on": today.isoformat()})
        assert NumberStanding.objects.get().done_on == today

    def test_an_item_may_be_not_needed_or_to_be_done_again(
        self, number: PhoneNumber, manager: User, sign_in: SignIn
    ) -> None:
        client = sign_in(manager)
        note = f"{LIST}{number.pk}/standing/caller_name/"
        page = client.post(note, {"state": "not_needed", "note": "a British number"}, follow=True)
        assert "Not needed for this number." in page.content.decode()
        assert "1 of 5" in page.content.decode()
        page = client.post(note, {"state": ""}, follow=True)
        assert "0 of 5" in page.content.decode()
        assert not NumberStanding.objects.exists()
        assert LogEntry.objects.count() == 2

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"state": "done"}, "On which day was it done?"),
            ({"state": "done", "done_on": "soon"}, "Enter a valid date."),
            ({"state": "done", "done_on": "2999-01-01"}, "still to come"),
            ({"state": "not_needed", "done_on": "2026-03-02"}, "A day belongs to what is done"),
            ({"state": "perhaps"}, "Select a valid choice"),
        ],
    )
    def test_a_bad_entry_is_told_and_loses_nothing(
        self, given: dict[str, str], says: str, number: PhoneNumber, manager: User, sign_in: SignIn
    ) -> None:
        note = f"{LIST}{number.pk}/standing/carriers/"
        answer = sign_in(manager).post(note, {**given, "reference": "FCR-12"})
        assert answer.status_code == 200
        page = answer.content.decode()
        assert says in page
        assert 'value="FCR-12"' in page
        assert not NumberStanding.objects.exists()

    def test_sales_staff_read_it_and_managers_note(
        self, number: PhoneNumber, sales: User, sign_in: SignIn
    ) -> None:
        client = sign_in(sales)
        page = read(client, page_of(number))
        assert "0 of 5" in page
        assert "/standing/" not in page
        note = f"{LIST}{number.pk}/standing/carriers/"
        assert client.get(note).status_code == 403
        assert client.post(note, {"state": "not_needed"}).status_code == 403
        assert not NumberStanding.objects.exists()

    def test_what_does_not_exist_is_404(self, number: PhoneNumber, manager: User, sign_in: SignIn) -> None:
        client = sign_in(manager)
        assert client.get(f"{LIST}{number.pk}/standing/luck/").status_code == 404
        assert client.get(f"{LIST}999/standing/carriers/").status_code == 404
        assert client.get(f"{LIST}abc/change/").status_code == 302

    def test_the_list_says_how_far_each_number_is(
        self, number: PhoneNumber, manager: User, sign_in: SignIn
    ) -> None:
        other = factories.make_number()
        for item in StandingItem:
            NumberStanding.objects.create(
                number=number, item=item, state="not_needed", noted_at=timezone.now()
            )
        NumberStanding.objects.create(
            number=other, item="carriers", state="not_needed", noted_at=timezone.now()
        )
        page = read(sign_in(manager), LIST)
        assert "Complete" in page
        assert "1 of 5" in page


class TestCallsADay:
    def test_the_page_says_how_many_of_today_and_which_day_it_is(
        self, number: PhoneNumber, sales: User, sign_in: SignIn
    ) -> None:
        client, now = sign_in(sales), timezone.now()
        assert "No limit a day of its own." in read(client, page_of(number))
        ramp.set_plan(number, RampPlan.USUAL, now=now)
        assert "At most 50 calls on its first day" in read(client, page_of(number))
        for days in (5, 5, 0):
            factories.make_call(CallStatus.ENDED, now=now - timedelta(days=days), our_number=number.number)
        NumberRamp.objects.update(day_one=caps.day_of(now)[0] - timedelta(days=5))
        page = read(client, page_of(number))
        assert "1 of 50 calls today, day 6 of 21." in page
        assert "Days 8 to 14: 100 calls a day" in page
        assert "1 of 50 calls today, day 6 of 21." in read(client, LIST)
        NumberRamp.objects.update(day_one=caps.day_of(now)[0] - timedelta(days=50))
        assert "Through its first weeks" in read(client, page_of(number))

    def test_administrators_choose_the_usual_steps_or_others_or_none_and_it_is_logged(
        self, number: PhoneNumber, administrator: User, sign_in: SignIn
    ) -> None:
        client = sign_in(administrator)
        change = f"{LIST}{number.pk}/calls-a-day/"
        assert change in read(client, page_of(number))
        form = read(client, change)
        assert "Days 1 to 7: 50 calls a day; Days 8 to 14: 100 calls a day" in form
        assert 'value="150"' in form
        client.post(change, {"plan": "usual"})
        assert NumberRamp.objects.get().plan == RampPlan.USUAL
        own = {"plan": "own", "days_1": "3", "calls_1": "20", "days_3": "4", "calls_3": "60"}
        page = client.post(change, own, follow=True).content.decode()
        assert "Days 4 to 7: 60 calls a day" in page
        assert ramp.steps_of(NumberRamp.objects.get()) == [Step(3, 20), Step(4, 60)]
        client.post(change, own)
        client.post(change, {"plan": "off"})
        assert "No limit a day of its own." in read(client, page_of(number))
        logged = [each.change_message for each in LogEntry.objects.order_by("pk")]
        assert logged == [
            "calls a day: 7 days 50, 7 days 100, 7 days 150",
            "calls a day: 3 days 20, 4 days 60",
            "calls a day: no limit of its own",
        ]

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({}, "Say how many days"),
            ({"days_1": "3"}, "Fill in both, or neither."),
            ({"days_1": "0", "calls_1": "5"}, "greater than or equal to 1"),
            ({"days_1": "many", "calls_1": "5"}, "Enter a whole number."),
            ({"days_1": "91", "calls_1": "5"}, "less than or equal to 90"),
        ],
    )
    def test_steps_that_make_no_sense_are_told_and_nothing_is_kept(
        self,
        given: dict[str, str],
        says: str,
        number: PhoneNumber,
        administrator: User,
        sign_in: SignIn,
    ) -> None:
        change = f"{LIST}{number.pk}/calls-a-day/"
        answer = sign_in(administrator).post(change, {"plan": "own", "calls_4": "77", "days_4": "", **given})
        if not given:
            answer = sign_in(administrator).post(change, {"plan": "own"})
        assert says in answer.content.decode()
        assert not NumberRamp.objects.exists()

    def test_managers_do_not_change_it(self, number: PhoneNumber, manager: User, sign_in: SignIn) -> None:
        client = sign_in(manager)
        page = read(client, page_of(number))
        assert "Administrators change this." in page
        assert "calls-a-day" not in page
        assert client.post(f"{LIST}{number.pk}/calls-a-day/", {"plan": "usual"}).status_code == 403
        assert not NumberRamp.objects.exists()

    @pytest.mark.parametrize("ramp_up", [True, False])
    def test_a_number_added_by_hand_is_asked_whether_it_is_new(
        self, ramp_up: bool, manager: User, sign_in: SignIn, settings: LazySettings
    ) -> None:
        settings.RETELL_CONTRACT = "article"
        client = sign_in(manager)
        assert "few calls a day in its first weeks" in read(client, f"{LIST}add/").lower()
        given = {"number": "+14155550188", "label": "New", "line": "default", "active": "on"}
        client.post(f"{LIST}add/", {**given, **({"ramp_up": "on"} if ramp_up else {})})
        assert PhoneNumber.objects.get().number == "+14155550188"
        assert [row.plan for row in NumberRamp.objects.all()] == (["usual"] if ramp_up else [])
