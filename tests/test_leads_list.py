"""The list of leads: found in any spelling, filtered, scoped, and no slower for being longer."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from calls.models import Lead, LeadList, LeadPhone, Outcome, PhoneState, ZoneSource
from tests.factories import make_call, make_lead, make_opt_out

pytestmark = pytest.mark.django_db

LIST = "/admin/calls/lead/"
SignIn = Callable[[User], Client]
HOSTILE = [
    '<script>alert(1)</script>" x-data="{a:alert(2)}" \' onload=x',
    "{{ constructor.constructor('alert(3)')() }}",
    "محمد بن سلمان",
    "W" * 200,
    "😀 Émile 👩‍👩‍👧‍👦",
]


def names_shown(answer: HttpResponse) -> set[str]:
    return {lead.name for lead in answer.context["cl"].result_list}  # type: ignore[attr-defined]


def found(client: Client, **query: str) -> set[str]:
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return names_shown(answer)


@pytest.mark.parametrize(
    "spelling",
    [
        "(415) 555-0101",
        "415.555.0101",
        "+14155550101",
        "+1 415-555-0101",
        "001 415 555 0101",
        "4155550101",
        "1-415-555-0101",
        "5550101",
    ],
)
def test_a_number_is_found_in_any_spelling(sign_in: SignIn, sales: User, spelling: str) -> None:
    make_lead("+14155550101", name="Ada")
    make_lead("+12125550102", name="Grace")
    assert found(sign_in(sales), q=spelling) == {"Ada"}


@pytest.mark.parametrize("spelling", ["07700 900123", "+44 (0)7700 900123", "0044 7700 900123"])
def test_a_number_is_found_with_its_trunk_zero(sign_in: SignIn, sales: User, spelling: str) -> None:
    make_lead("+447700900123", name="Ada")
    assert found(sign_in(sales), q=spelling) == {"Ada"}


def test_each_word_may_be_in_name_company_or_mail(sign_in: SignIn, sales: User) -> None:
    make_lead(name="Ada Lovelace", company="Engines Ltd")
    make_lead(name="Ada Other", company="Looms Ltd")
    client = sign_in(sales)
    assert found(client, q="ada engines") == {"Ada Lovelace"}
    assert found(client, q="LTD") == {"Ada Lovelace", "Ada Other"}
    assert found(client, q="ada nobody") == set()


def test_a_salesperson_sees_own_and_nobodys_leads_a_manager_everybodys(
    sign_in: SignIn, sales: User, manager: User
) -> None:
    make_lead(name="Mine", owner=sales)
    make_lead(name="Nobody's")
    make_lead(name="Theirs", owner=manager)
    assert found(sign_in(sales)) == {"Mine", "Nobody's"}
    assert found(sign_in(manager)) == {"Mine", "Nobody's", "Theirs"}


def test_filters_narrow_the_list(sign_in: SignIn, sales: User) -> None:
    fair = LeadList.objects.create(name="Fair")
    ada = make_lead(name="Ada", owner=sales, list=fair, status="interested")
    make_lead(name="Grace", next_action="call", next_action_at=timezone.now() - timedelta(hours=1))
    make_call("ended", lead=ada, now=timezone.now() - timedelta(days=2), outcome=Outcome.VOICEMAIL)
    make_call("ended", lead=ada, now=timezone.now() - timedelta(days=1), outcome=Outcome.BUSY)
    client = sign_in(sales)
    assert found(client, status="interested") == {"Ada"}
    assert found(client, list=str(fair.pk)) == {"Ada"}
    assert found(client, list="-") == {"Grace"}
    assert found(client, owner=str(sales.pk)) == {"Ada"}
    assert found(client, owner="-") == {"Grace"}
    assert found(client, outcome="busy") == {"Ada"}
    assert found(client, outcome="voicemail") == set()
    assert found(client, outcome="none") == {"Grace"}
    assert found(client, next="due") == {"Grace"}
    assert found(client, next="-") == {"Ada"}


def test_an_unknown_value_of_a_filter_does_no_harm(sign_in: SignIn, sales: User) -> None:
    make_lead(name="Ada")
    client = sign_in(sales)
    for name in ("status", "list", "owner", "outcome", "next"):
        assert client.get(LIST, {name: "' OR 1=1"}).status_code == 200


@pytest.mark.usefixtures("around_the_clock")
def test_leads_can_be_filtered_by_whether_they_may_be_called(sign_in: SignIn, sales: User) -> None:
    make_lead(name="Now")
    never = make_lead(name="Never")
    make_opt_out(never.phones.get().number)
    make_lead("", name="Numberless")
    client = sign_in(sales)
    assert found(client, may="now") == {"Now"}
    assert found(client, may="never") == {"Never", "Numberless"}
    assert found(client, may="later") == set()


def test_a_row_says_last_contact_next_action_and_time_there(sign_in: SignIn, sales: User, settings) -> None:  # type: ignore[no-untyped-def]
    settings.CALLING_HOURS = "00:00-24:00"
    lead = make_lead("+14155550101", name="Ada", owner=sales, next_action="follow_up")
    make_call("ended", lead=lead, outcome=Outcome.NO_ANSWER)
    page = sign_in(sales).get(LIST).content.decode()
    for words in (
        "+1 415-555-0101",
        "No answer",
        "Follow up by a person",
        "Ana",
        reverse("admin:calls_lead_call", args=[lead.pk]),
    ):
        assert words in page


def test_the_list_asks_as_many_questions_for_forty_leads_as_for_two(sign_in: SignIn, sales: User) -> None:
    client = sign_in(sales)

    def questions() -> int:
        cache.clear()  # what stands on every page is remembered for some seconds, or not any more
        with CaptureQueriesContext(connection) as asked:
            client.get(LIST)
        return len(asked)

    def add(count: int) -> None:
        for _nth in range(count):
            make_call("ended", lead=make_lead(owner=sales))

    add(2)
    client.get(LIST)
    few = questions()
    add(38)
    assert questions() == few
    assert few < 30


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(sign_in: SignIn, sales: User, name: str) -> None:
    lead = make_lead(name=name, company=name[:100], owner=sales, reason=name[:300])
    client = sign_in(sales)
    for path in (
        LIST,
        f"{LIST}{lead.pk}/change/",
        f"{LIST}{lead.pk}/edit/",
        f"{LIST}{lead.pk}/call/",
        f"{LIST}{lead.pk}/never/",
    ):
        page = client.get(path).content.decode()
        assert "<script>alert(1)" not in page
        assert 'x-data="{a:alert(2)}' not in page


def form_of(lead: Lead | None = None, *numbers: str, **fields: str) -> dict[str, str]:
    phones = list(lead.phones.all()) if lead else []
    posted = {
        "name": lead.name if lead else "Ada",
        "status": "new",
        "next_action": "",
        "phones-TOTAL_FORMS": str(len(phones) + len(numbers)),
        "phones-INITIAL_FORMS": str(len(phones)),
        **fields,
    }
    for nth, row in enumerate(phones):
        posted |= {f"phones-{nth}-id": str(row.pk), f"phones-{nth}-number": row.number}
        posted |= {
            f"phones-{nth}-kind": row.kind,
            f"phones-{nth}-position": str(row.position),
            f"phones-{nth}-state": row.state,
        }
    for nth, number in enumerate(numbers, start=len(phones)):
        posted |= {f"phones-{nth}-number": number, f"phones-{nth}-kind": "mobile"}
        posted |= {f"phones-{nth}-position": str(nth), f"phones-{nth}-state": "valid"}
    return posted


def test_a_lead_added_by_hand_gets_its_number_cleaned(sign_in: SignIn, sales: User) -> None:
    answer = sign_in(sales).post(
        f"{LIST}add/",
        form_of(None, "(415) 555-0101", time_zone="Europe/Berlin", custom_lines="plan: Premium"),
    )
    lead = Lead.objects.get()
    assert answer.headers["Location"] == f"{LIST}{lead.pk}/change/"
    assert lead.phones.get().number == "+14155550101"
    assert (lead.time_zone, lead.time_zone_source) == ("Europe/Berlin", ZoneSource.STATED)
    assert lead.custom == {"plan": "Premium"}
    assert lead.external_id is None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("4.15556E+10", "A spreadsheet has damaged this number"),
        ("not a number", "is not a phone number"),
        ("12", "wrong number of digits"),
    ],
)
def test_a_bad_number_says_what_is_wrong(sign_in: SignIn, sales: User, number: str, words: str) -> None:
    answer = sign_in(sales).post(f"{LIST}add/", form_of(None, number))
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not Lead.objects.exists()


def test_a_zone_nobody_knows_and_a_number_twice_are_refused(sign_in: SignIn, sales: User) -> None:
    client = sign_in(sales)
    page = client.post(
        f"{LIST}add/", form_of(None, "+14155550101", time_zone="Mars/Olympus")
    ).content.decode()
    assert "“Mars/Olympus” is not a time zone." in page
    twice = client.post(f"{LIST}add/", form_of(None, "+14155550101", "(415) 555-0101"))
    assert twice.status_code == 200
    assert not Lead.objects.exists()


def test_editing_keeps_what_was_not_touched(sign_in: SignIn, sales: User) -> None:
    lead = make_lead("+14155550101", owner=sales, custom={"plan": "Basic"}, external_id="crm-1")
    LeadPhone.objects.filter(lead=lead).update(state=PhoneState.WRONG)
    posted = form_of(
        lead, owner=str(sales.pk), external_id="crm-1", custom_lines="plan: Basic", company="Engines"
    )
    answer = sign_in(sales).post(f"{LIST}{lead.pk}/edit/", posted)
    assert answer.headers["Location"] == f"{LIST}{lead.pk}/change/"
    lead.refresh_from_db()
    assert (lead.company, lead.external_id, lead.custom) == ("Engines", "crm-1", {"plan": "Basic"})
    assert lead.phones.get().state == PhoneState.WRONG


def test_a_lead_out_of_scope_is_not_there(sign_in: SignIn, sales: User, manager: User) -> None:
    lead = make_lead(owner=manager)
    client = sign_in(sales)
    for tail in ("change", "edit", "call", "never", "call-back"):
        assert client.get(f"{LIST}{lead.pk}/{tail}/").status_code in (302, 404)
    assert client.post(f"{LIST}{lead.pk}/note/", {"text": "hello"}).status_code == 404
    assert not lead.notes.exists()


def body(answer: object) -> bytes:
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def test_a_manager_exports_what_the_list_shows_safe_for_spreadsheets(sign_in: SignIn, manager: User) -> None:
    ada = make_lead(
        "+14155550101", name='=HYPERLINK("http://x")', company="+cmd|' /C calc'!A0", status="interested"
    )
    make_lead(name="Grace")
    make_opt_out("+14155550101")
    assert ada.pk
    client = sign_in(manager)
    text = body(client.get(f"{LIST}export/", {"status": "interested"})).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ['\'=HYPERLINK("http://x")']
    assert rows[0]["company"].startswith("'+cmd")
    assert rows[0]["phone"] == "+14155550101"
    assert rows[0]["do not call"] == "yes"
    sheet = load_workbook(io.BytesIO(body(client.get(f"{LIST}export/", {"format": "xlsx"})))).active
    assert sheet is not None
    cells = {cell.value: cell.data_type for row in sheet.iter_rows() for cell in row if cell.value}
    assert cells['=HYPERLINK("http://x")'] == "s"
    assert cells["+14155550101"] == "s"


def test_a_salesperson_may_not_export(sign_in: SignIn, sales: User) -> None:
    assert sign_in(sales).get(f"{LIST}export/").status_code == 403


def test_who_must_not_be_called_has_a_call_button_that_only_says_why(sign_in: SignIn, sales: User) -> None:
    gone, fine = make_lead(name="Gone"), make_lead(name="Fine")
    make_opt_out(gone.phones.get().number, reason="never again")
    page = " ".join(sign_in(sales).get(LIST).content.decode().split())
    assert f'href="/admin/calls/lead/{fine.pk}/call/"' in page
    assert f'href="/admin/calls/lead/{gone.pk}/call/"' not in page
    assert 'aria-disabled="true" title="On the do-not-call list since' in page
    assert 'aria-label="Call Gone: not possible. On the do-not-call list' in page
