"""Do-not-call over REST: 201, and what it cancelled."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from calls.models import DoNotCall
from calls.models.do_not_call import DoNotCallSource
from tests import factories
from tests.api_client import CALLS, DO_NOT_CALL, Api, problem

pytestmark = pytest.mark.django_db
NUMBER = "+14155550142"


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_waiting_call_is_cancelled_and_named(api: Api) -> None:
    call = factories.make_call(lead=factories.make_lead(NUMBER))
    other = factories.make_call()
    response = api.post(DO_NOT_CALL, {"number": "(415) 555-0142", "reason": "Wrote to us"})
    assert response.status_code == 201
    told = response.json()
    assert (told["number"], told["reason"], told["source"]) == (NUMBER, "Wrote to us", "api")
    assert (told["canceled"], told["hanging_up"]) == ([str(call.pk)], [])
    assert api.get(f"{CALLS}{call.pk}/").json()["outcome"] == "canceled"
    assert api.get(f"{CALLS}{other.pk}/").json()["status"] == "queued"


@pytest.mark.parametrize("status", ["dialing", "unconfirmed", "placed", "ringing"])
def test_a_call_being_placed_is_hung_up_and_named(api: Api, status: str) -> None:
    call = factories.make_call(status, lead=factories.make_lead(NUMBER))
    told = api.post(DO_NOT_CALL, {"number": NUMBER, "reason": "Wrote to us"}).json()
    assert (told["canceled"], told["hanging_up"]) == ([], [str(call.pk)])


def test_a_conversation_goes_on(api: Api) -> None:
    factories.make_call("in_progress", lead=factories.make_lead(NUMBER))
    told = api.post(DO_NOT_CALL, {"number": NUMBER, "reason": "Wrote to us"}).json()
    assert (told["canceled"], told["hanging_up"]) == ([], [])


def test_entering_it_again_answers_the_same_and_keeps_the_first_reason(api: Api) -> None:
    first = api.post(DO_NOT_CALL, {"number": NUMBER, "reason": "Wrote to us"})
    again = api.post(DO_NOT_CALL, {"number": NUMBER, "reason": "Import"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert DoNotCall.objects.count() == 1


def test_it_is_written_down_for_whom_the_key_belongs_to(sales: User) -> None:
    Api(owner=sales).post(DO_NOT_CALL, {"number": NUMBER, "reason": "Wrote to us"})
    assert DoNotCall.objects.get().created_by == sales


def test_the_list_tells_what_is_in_force_and_finds_a_number(api: Api, manager: User) -> None:
    factories.make_opt_out(NUMBER)
    factories.make_opt_out("+442079460000", source=DoNotCallSource.STAFF)
    lifted = factories.make_opt_out("+13035550111")
    DoNotCall.objects.filter(pk=lifted.pk).update(
        lifted_at=lifted.created_at, lifted_by=manager, lifted_reason="asked again"
    )

    def numbers(**query: str) -> list[str]:
        return [entry["number"] for entry in api.get(DO_NOT_CALL, query).json()["results"]]

    assert numbers() == ["+442079460000", NUMBER]
    assert numbers(number="+44 20 7946 0000") == ["+442079460000"]
    assert numbers(number="+13035550111") == []
    problem(api.get(DO_NOT_CALL, {"number": "x"}), 400, "invalid")


def test_it_cannot_be_taken_back_by_another_system(api: Api) -> None:
    api.post(DO_NOT_CALL, {"number": NUMBER, "reason": "Wrote to us"})
    problem(api.client.delete(DO_NOT_CALL), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"number": NUMBER}, "reason", "required"),
        ({"number": NUMBER, "reason": " "}, "reason", "blank"),
        ({"number": NUMBER, "reason": "r" * 301}, "reason", "max_length"),
        ({"number": "x", "reason": "r"}, "number", "unreadable"),
        ({"number": "", "reason": "r"}, "number", "blank"),
    ],
)
def test_a_wrong_body_is_named_by_field(api: Api, body: dict[str, str], field: str, code: str) -> None:
    told = problem(api.post(DO_NOT_CALL, body), 400, "invalid")
    assert [each["code"] for each in told["errors"][field]] == [code]
