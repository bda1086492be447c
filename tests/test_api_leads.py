"""Leads over REST: added once, found again by the other system's id, changed field by field."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from calls.models import Lead, LeadPhone, PhoneState, ZoneSource
from calls.models.lead import LeadSource
from tests import factories
from tests.api_client import CALLS, LEADS, Api, problem

pytestmark = pytest.mark.django_db
ADA = {
    "name": "Ada Sample",
    "phone": "(415) 555-0142",
    "company": "Rooftop Ltd",
    "email": "ada@example.com",
    "timezone": "America/New_York",
    "external_id": "crm-1",
    "custom": {"plan": "gold", "seats": 12, "beta": True, "note": None},
    "reason": "Asked for a quote",
}


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_lead_is_added_with_all_it_came_with(api: Api) -> None:
    response = api.post(LEADS, ADA)
    assert response.status_code == 201
    told = response.json()
    assert told | ADA | {"phone": "+14155550142"} == told
    assert told["phones"] == [{"number": "+14155550142", "kind": "mobile", "state": "valid"}]
    assert (told["status"], told["next_action"]) == ("new", None)
    lead = Lead.objects.get(pk=told["id"])
    assert (lead.source, lead.time_zone_source) == (LeadSource.API, ZoneSource.STATED)
    assert api.get(f"{LEADS}{lead.pk}/").json() == told


def test_name_and_phone_are_enough(api: Api) -> None:
    told = api.post(LEADS, {"name": "  Ada  ", "phone": "+442079460000"}).json()
    assert (told["name"], told["phone"]) == ("Ada", "+442079460000")
    assert told["email"] is None
    assert told["timezone"] is None
    assert told["external_id"] is None
    assert told["custom"] == {}


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_optional_text_is_none_at_all(api: Api, empty: str | None) -> None:
    body = {"name": "Ada", "phone": "+14155550101", "email": empty, "timezone": empty, "external_id": empty}
    for _twice in range(2):
        told = api.post(LEADS, body)
        assert told.status_code == 201
        assert (told.json()["email"], told.json()["timezone"], told.json()["external_id"]) == (
            None,
            None,
            None,
        )


def test_the_same_external_id_again_is_the_same_lead_unchanged(api: Api) -> None:
    first = api.post(LEADS, ADA)
    again = api.post(LEADS, ADA | {"name": "Somebody Else"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert Lead.objects.count() == LeadPhone.objects.count() == 1


def test_an_external_id_of_a_lead_that_the_key_may_not_see_is_a_conflict(
    api: Api, sales: User, manager: User
) -> None:
    factories.make_lead(owner=manager, external_id="crm-1", name="Secret")
    told = Api(owner=sales).post(LEADS, ADA)
    problem(told, 409, "external_id_taken")
    assert "Secret" not in told.content.decode()


def test_a_lead_added_with_an_owned_key_belongs_to_that_person(sales: User) -> None:
    told = Api(owner=sales).post(LEADS, ADA).json()
    assert Lead.objects.get(pk=told["id"]).owner == sales


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"name": ""}, "name", "blank"),
        ({"name": "   "}, "name", "blank"),
        ({"name": None}, "name", "null"),
        ({"name": 7}, "name", "not_text"),
        ({"name": "n" * 201}, "name", "max_length"),
        ({"phone": "call me"}, "phone", "unreadable"),
        ({"phone": "4.15556E+10"}, "phone", "spreadsheet"),
        ({"phone": "+1415"}, "phone", "impossible"),
        ({"phone": "+14155550142*"}, "phone", "unreadable"),
        ({"phone": "call +1 415 555 0142"}, "phone", "unreadable"),
        ({"phone": "+1 415 555 0142 ext. 7"}, "phone", "extension"),
        ({"phone": 14155550101}, "phone", "not_text"),
        ({"email": "nobody"}, "email", "invalid"),
        ({"timezone": "Mars/Olympus"}, "timezone", "no_zone"),
        ({"custom": []}, "custom", "not_a_dict"),
        ({"custom": {"a": {"b": 1}}}, "custom", "nested"),
        ({"custom": {str(nth): nth for nth in range(101)}}, "custom", "too_many"),
        ({"external_id": "e" * 121}, "external_id", "max_length"),
        ({"nmae": "Ada"}, "nmae", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named_with_a_code(api: Api, change: dict[str, Any], field: str, code: str) -> None:
    told = problem(api.post(LEADS, ADA | change), 400, "invalid")
    assert [each["code"] for each in told["errors"][field]] == [code]
    assert not Lead.objects.exists()


def test_every_wrong_field_is_named_at_once(api: Api) -> None:
    told = problem(api.post(LEADS, {"email": "x"}), 400, "invalid")
    assert set(told["errors"]) == {"name", "phone", "email"}


def test_patch_changes_only_what_it_names(api: Api) -> None:
    lead = api.post(LEADS, ADA).json()
    told = api.patch(f"{LEADS}{lead['id']}/", {"company": "Attic Ltd", "timezone": None})
    assert told.status_code == 200
    expected = lead | {"company": "Attic Ltd", "timezone": None}
    assert told.json() == expected | {"updated_at": told.json()["updated_at"]}
    assert told.json()["updated_at"] > lead["updated_at"]
    assert Lead.objects.get().time_zone_source == ZoneSource.UNKNOWN


def test_a_patched_phone_takes_the_place_of_the_one_that_is_dialled(api: Api) -> None:
    lead = factories.make_lead("+14155550101")
    LeadPhone.objects.create(lead=lead, number="+14155550102", position=1, kind="work")
    told = api.patch(f"{LEADS}{lead.pk}/", {"phone": "+14155550103"}).json()
    assert told["phone"] == "+14155550103"
    assert [each["number"] for each in told["phones"]] == ["+14155550103", "+14155550102"]
    told = api.patch(f"{LEADS}{lead.pk}/", {"phone": "+1 415 555 0102"}).json()
    assert [each["number"] for each in told["phones"]] == ["+14155550102"]
    assert told["phones"][0]["kind"] == "work"


def test_a_patched_phone_comes_before_one_marked_as_wrong(api: Api) -> None:
    lead = factories.make_lead("+14155550101")
    lead.phones.update(state=PhoneState.WRONG)
    told = api.patch(f"{LEADS}{lead.pk}/", {"phone": "+14155550103"}).json()
    assert told["phone"] == "+14155550103"
    assert [each["state"] for each in told["phones"]] == ["valid", "wrong"]


def test_a_wrong_number_stays_wrong_when_another_system_insists(api: Api) -> None:
    lead = factories.make_lead("+14155550101")
    lead.phones.update(state=PhoneState.WRONG)
    told = api.patch(f"{LEADS}{lead.pk}/", {"phone": "+14155550101"}).json()
    assert told["phone"] is None


def test_an_external_id_of_another_lead_cannot_be_taken(api: Api) -> None:
    factories.make_lead(external_id="crm-1")
    lead = factories.make_lead()
    problem(api.patch(f"{LEADS}{lead.pk}/", {"external_id": "crm-1"}), 409, "external_id_taken")


def test_pages_follow_each_other_without_gap_or_repeat(api: Api) -> None:
    made = [factories.make_lead().pk for _nth in range(7)]
    seen: list[int] = []
    address: str | None = f"{LEADS}?page_size=3"
    while address:
        page = api.get(address).json()
        assert set(page) == {"results", "next", "previous"}
        seen += [lead["id"] for lead in page["results"]]
        address = page["next"]
        factories.make_lead()
    assert seen == made[::-1]


@pytest.mark.parametrize("size", ["0", "201", "-1", "x", "", "1.5"])
def test_a_page_size_out_of_range_is_an_error(api: Api, size: str) -> None:
    told = problem(api.get(LEADS, {"page_size": size}), 400, "invalid")
    assert told["errors"]["page_size"][0]["code"] == "out_of_range"


@pytest.mark.parametrize("cursor", ["x", "cD1ub3BlYXQ=", "AAAA", "\x00", "", "cD0lMDA=", "bz0w"])
def test_a_cursor_that_is_not_ours_is_404_and_never_the_first_page(api: Api, cursor: str) -> None:
    for path in (LEADS, CALLS):
        problem(api.get(path, {"cursor": cursor}), 404, "not_found")


def test_a_list_costs_the_same_queries_however_long(api: Api, django_assert_max_num_queries: Any) -> None:
    for _nth in range(20):
        factories.make_lead()
    with django_assert_max_num_queries(6):
        assert len(api.get(LEADS).json()["results"]) == 20
