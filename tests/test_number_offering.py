"""A number that nobody would answer is no caller ID, unless an administrator says so and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents import number_completion
from agents.models import PhoneNumber
from tests import factories

pytestmark = [pytest.mark.django_db]
SignIn = Callable[[User], Client]
LIST = "/admin/agents/phonenumber/"


@pytest.fixture
def number() -> PhoneNumber:
    row = factories.make_number(number="+14155550101", label="Sales", last_synced_at=timezone.now())
    number_completion.judge(row, now=timezone.now())
    return row


def page_of(row: PhoneNumber) -> str:
    return f"{LIST}{row.pk}/change/"


def offer(row: PhoneNumber) -> str:
    return f"{LIST}{row.pk}/offer/"


def test_list_and_page_say_that_it_is_not_offered_and_what_to_do(
    sign_in: SignIn, manager: User, number: PhoneNumber
) -> None:
    client = sign_in(manager)
    assert "Nobody would answer who rings it back." in client.get(LIST).text
    page = client.get(page_of(number)).text
    assert "Not offered: whoever rings it back might reach nobody." in page
    assert "Give it one there and press Sync" in page
    assert "Administrators may offer it all the same." in page
    assert offer(number) not in page


def test_an_administrator_offers_it_with_a_reason_and_takes_that_back(
    sign_in: SignIn, administrator: User, number: PhoneNumber
) -> None:
    client = sign_in(administrator)
    assert offer(number) in client.get(page_of(number)).text
    assert "This field is required" in client.post(offer(number), {"reason": "  "}).text
    assert not PhoneNumber.objects.get().is_usable
    page = client.post(offer(number), {"reason": "The menu <b>answers</b>."}, follow=True).text
    assert "It is offered as caller ID." in page
    assert "The menu &lt;b&gt;answers&lt;/b&gt;." in page
    assert "At the phone company no AI agent answers it." in page
    row = PhoneNumber.objects.get()
    assert (row.is_usable, row.offered_by) == (True, administrator)
    assert LogEntry.objects.filter(user=administrator, change_message__contains="The menu").exists()
    page = client.post(offer(number), {"do": "offer_no_more"}, follow=True).text
    assert "not offered as caller ID until people can ring it back" in page
    row = PhoneNumber.objects.get()
    assert (row.is_usable, row.offered_at, row.offered_by, row.offered_reason) == (False, None, None, "")


def test_nobody_else_offers_it(sign_in: SignIn, manager: User, sales: User, number: PhoneNumber) -> None:
    for person in (manager, sales):
        client = sign_in(person)
        assert client.get(offer(number)).status_code == 403
        assert client.post(offer(number), {"reason": "now"}).status_code == 403
    assert not PhoneNumber.objects.get().is_usable


def test_a_number_that_is_answered_says_nothing_of_it(
    sign_in: SignIn, administrator: User, number: PhoneNumber
) -> None:
    number_completion.offer(number, reason="Until Monday", by=administrator, now=timezone.now())
    PhoneNumber.objects.update(inbound_agent=factories.make_agent())
    page = sign_in(administrator).get(page_of(number)).text
    assert "Until Monday" not in page
    assert "might reach nobody" not in page
