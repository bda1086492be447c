"""What is asked of Twilio, how often, and what each of its answers means."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import httpx
import pytest

from agents.providers import http
from agents.providers.base import (
    Busy,
    NotFound,
    NotSent,
    ProviderError,
    RefusalScope,
    Refused,
    Unclear,
)
from agents.providers.twilio.answers import Over
from agents.providers.twilio.orders import LegOrder
from agents.providers.twilio.rest import Twilio
from agents.providers.twilio.trunk import Trunking, new_password

pytestmark = pytest.mark.one_engine

SID = "AC" + "0123456789abcdef" * 2
TOKEN = "token_test"
LEG = "CA" + "1" * 32
Answering = Callable[[httpx.Request], httpx.Response]


def speaking(answer: Answering | httpx.Response, *, token: str = TOKEN) -> tuple[Twilio, list[httpx.Request]]:
    """A client whose far end is `answer`, and what reached it."""
    asked: list[httpx.Request] = []

    def far_end(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer if isinstance(answer, httpx.Response) else answer(request)

    return Twilio(account_sid=SID, auth_token=token, transport=httpx.MockTransport(far_end)), asked


def error(status: int, code: int | None = None, message: str = "no") -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": message, "status": status})


def form(request: httpx.Request) -> list[tuple[str, str]]:
    return parse_qsl(request.content.decode(), keep_blank_values=True)


def order(**changes: object) -> LegOrder:
    given = {"to_number": "+14155550101", "from_number": "+12125550190", "twiml": "<Response/>", **changes}
    return LegOrder(**given)  # type: ignore[arg-type]


def ring(twilio: Twilio, wanted: LegOrder | None = None) -> str:
    return twilio.ring(wanted or order(), give_up_s=5, started=time.monotonic()).provider_call_id


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_FIRST_S", 0.001)


def test_a_leg_is_ordered_as_a_form_with_repeated_events_under_basic_authorisation() -> None:
    twilio, asked = speaking(httpx.Response(201, json={"sid": LEG, "status": "queued"}))
    wanted = order(status_callback="https://calls.example.com/webhook/twilio/status", record=True)
    assert ring(twilio, wanted) == LEG
    (request,) = asked
    assert str(request.url) == f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Calls.json"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert base64.b64decode(request.headers["authorization"].split()[1]).decode() == f"{SID}:{TOKEN}"
    sent = form(request)
    assert [value for name, value in sent if name == "StatusCallbackEvent"] == [
        "initiated", "ringing", "answered", "completed",
    ]  # fmt: skip
    assert dict(sent)["Record"] == "true"
    assert "Url" not in dict(sent)
    assert int(dict(sent)["TimeLimit"]) > 0


@pytest.mark.parametrize(
    "wrong",
    [{"twiml": ""}, {"url": "https://x/"}, {"twiml": "x" * 4001}, {"digits": "1", "detect": "Enable"}],
    ids=["nothing to do", "both", "too long", "digits and detection"],
)
def test_an_order_that_twilio_would_refuse_never_reaches_the_wire(wrong: dict[str, str]) -> None:
    twilio, asked = speaking(httpx.Response(201, json={}))
    with pytest.raises(ValueError):
        ring(twilio, order(**wrong))
    assert asked == []


UNCLEAR = [error(500, 20500), error(503), error(408), httpx.Response(502, text="<h1>")]


@pytest.mark.parametrize("answer", UNCLEAR)
def test_a_leg_whose_answer_is_unclear_is_never_ordered_twice(answer: httpx.Response) -> None:
    twilio, asked = speaking(answer)
    with pytest.raises(Unclear):
        ring(twilio)
    assert len(asked) == 1


def test_a_leg_refused_for_the_rate_is_a_definite_not_now_and_is_not_ordered_again() -> None:
    for code in (20429, 10004):
        twilio, asked = speaking(error(429 if code == 20429 else 400, code))
        with pytest.raises(Busy):
            ring(twilio)
        assert len(asked) == 1


def test_an_order_whose_time_has_passed_is_not_sent() -> None:
    twilio, asked = speaking(httpx.Response(201, json={"sid": LEG}))
    with pytest.raises(NotSent):
        twilio.ring(order(), give_up_s=1, started=time.monotonic() - 2)
    assert asked == []


def test_an_accepted_leg_whose_answer_cannot_be_read_is_accepted() -> None:
    twilio, _asked = speaking(httpx.Response(201, text="<html>"))
    assert ring(twilio) == ""


def test_what_only_reads_is_asked_again_after_429_and_after_a_failure() -> None:
    answers = iter([error(429, 20429), error(500), httpx.Response(200, json={"sid": LEG, "status": "busy"})])
    twilio, asked = speaking(lambda _request: next(answers))
    assert twilio.leg(LEG).over
    assert len(asked) == 3


def test_what_makes_something_is_sent_once_and_what_may_be_done_twice_again() -> None:
    twilio, asked = speaking(error(500))
    trunks = Trunking(twilio)
    makes: list[Callable[[], object]] = [
        lambda: trunks.create_trunk(label="x", domain="x.pstn.twilio.com"),
        lambda: trunks.create_credential("CL1", username="x", password="y"),
        lambda: trunks.attach_number("TK1", "PN1"),
        lambda: twilio.invite("room", to_number="+14155550101", from_number="+12125550190"),
        lambda: twilio.record(LEG),
    ]
    for make in makes:
        asked.clear()
        with pytest.raises(Unclear):
            make()
        assert len(asked) == 1
    for again in (lambda: twilio.hang_up(LEG), lambda: twilio.change_number("PN1", label="x")):
        asked.clear()
        with pytest.raises(Unclear):
            again()
        assert len(asked) == 4


@pytest.mark.parametrize(
    ("status", "code", "kind", "scope", "ours", "says"),
    [
        (401, 20003, Refused, RefusalScope.ACCOUNT, "authentication", "TWILIO_AUTH_TOKEN"),
        (403, 20008, Refused, RefusalScope.ACCOUNT, "authentication", "test credentials"),
        (403, 20403, Refused, RefusalScope.ACCOUNT, "billing", "suspended"),
        (403, None, Refused, RefusalScope.ACCOUNT, "not_allowed", "console"),
        (400, 21210, Refused, RefusalScope.NUMBER, "not_allowed", "verify"),
        (400, 21211, Refused, RefusalScope.CALL, "invalid_number", "correct it"),
        (400, 21215, Refused, RefusalScope.CALL, "geography", "Geo permissions"),
        (400, 21216, Refused, RefusalScope.CALL, "not_allowed", "business profile"),
        (400, 21219, Refused, RefusalScope.CALL, "not_allowed", "upgrade"),
        (400, 99999, Refused, RefusalScope.CALL, "refused", "99999"),
        (400, 21220, Over, RefusalScope.CALL, "over", "over"),
        (404, 20404, NotFound, None, "", "no such thing"),
    ],
)
def test_each_error_says_what_to_do(
    status: int, code: int | None, kind: type[ProviderError], scope: RefusalScope | None, ours: str, says: str
) -> None:
    twilio, _asked = speaking(error(status, code, "the phone company's own words"))
    with pytest.raises(ProviderError) as caught:
        ring(twilio)
    assert type(caught.value) is kind
    assert says in caught.value.message
    assert "the phone company's own words" in caught.value.message
    if isinstance(caught.value, Refused):
        assert (caught.value.scope, caught.value.code) == (scope, ours)


def test_the_newer_error_body_and_a_page_that_is_none_are_read_as_well() -> None:
    newer = {
        "type": "https://www.twilio.com/docs/errors/21211",
        "title": "Invalid To",
        "status": 400,
        "code": 21211,
        "detail": "The number is none.",
        "errors": [{"detail": "must begin with +", "pointer": "/To"}],
    }
    twilio, _asked = speaking(httpx.Response(400, json=newer))
    with pytest.raises(Refused, match="must begin with") as caught:
        ring(twilio)
    assert caught.value.code == "invalid_number"
    twilio, _asked = speaking(httpx.Response(403, text="<html>Blocked</html>"))
    with pytest.raises(Refused, match="status 403"):
        ring(twilio)


def test_hanging_up_what_is_over_is_no_error() -> None:
    for answer in (error(400, 21220), error(404, 20404)):
        twilio, _asked = speaking(answer)
        assert not twilio.hang_up(LEG)
    twilio, asked = speaking(httpx.Response(200, json={"sid": LEG}))
    assert twilio.hang_up(LEG)
    assert form(asked[0]) == [("Status", "completed")]


def test_a_list_is_read_to_its_last_page_and_never_from_another_host() -> None:
    def pages(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("Page") == "1":
            return httpx.Response(200, json={"calls": [{"sid": "CA2"}], "next_page_uri": None})
        following = f"https://elsewhere.example/2010-04-01/Accounts/{SID}/Calls.json?Page=1"
        return httpx.Response(200, json={"calls": [{"sid": "CA1"}], "next_page_uri": following})

    twilio, asked = speaking(pages)
    found = twilio.find_legs(to_number="+14155550101", since=datetime(2026, 11, 3, 23, tzinfo=UTC))
    assert [leg.sid for leg in found] == ["CA1", "CA2"]
    assert {request.url.host for request in asked} == {"api.twilio.com"}
    assert asked[0].url.params["StartTime>"] == "2026-11-03"


def test_trunks_are_asked_at_their_own_address_and_paged_in_their_own_way() -> None:
    def pages(request: httpx.Request) -> httpx.Response:
        last = "Page" in request.url.params
        following = None if last else "https://trunking.twilio.com/v1/Trunks?Page=1"
        meta = {"key": "trunks", "next_page_url": following}
        trunk = {"sid": "TK2" if last else "TK1", "domain_name": "x", "auth_type_set": ["CREDENTIAL_LIST"]}
        return httpx.Response(200, json={"trunks": [trunk], "meta": meta})

    twilio, asked = speaking(pages)
    found = Trunking(twilio).trunks()
    assert [(trunk.sid, trunk.auth) for trunk in found] == [
        ("TK1", frozenset({"CREDENTIAL_LIST"})),
        ("TK2", frozenset({"CREDENTIAL_LIST"})),
    ]
    assert {request.url.host for request in asked} == {"trunking.twilio.com"}


def test_a_leg_is_read_with_its_times_its_price_and_what_is_not_known_yet() -> None:
    body = {
        "sid": LEG, "to": "+14155550101", "from": "+12125550190", "status": "completed", "duration": "49",
        "price": "-0.01400", "price_unit": "USD", "start_time": "Tue, 03 Nov 2026 09:00:05 +0000",
        "end_time": "Tue, 03 Nov 2026 09:00:54 +0000", "queue_time": "1200", "answered_by": "human",
    }  # fmt: skip
    twilio, _asked = speaking(httpx.Response(200, json=body))
    leg = twilio.leg(LEG)
    assert (leg.duration_s, leg.cost_micros, leg.currency, leg.waited_ms) == (49, 14_000, "USD", 1200)
    assert leg.started_at == datetime(2026, 11, 3, 9, 0, 5, tzinfo=UTC)
    twilio, _asked = speaking(httpx.Response(200, json={"sid": LEG, "status": "queued", "price": None}))
    leg = twilio.leg(LEG)
    assert (leg.duration_s, leg.cost_micros, leg.started_at, leg.over) == (None, None, None, False)


def test_without_credentials_nothing_is_asked_and_the_refusal_says_what_to_set() -> None:
    twilio, asked = speaking(httpx.Response(200, json={}), token="")
    with pytest.raises(Refused, match="TWILIO_AUTH_TOKEN") as caught:
        twilio.account()
    assert caught.value.scope is RefusalScope.ACCOUNT
    assert asked == []


def test_an_id_that_would_be_another_path_is_never_asked_for() -> None:
    twilio, asked = speaking(httpx.Response(200, json={}))
    for sid in ("../Accounts", "", "CA1?x=1"):
        with pytest.raises(ValueError):
            twilio.leg(sid)
        with pytest.raises(ValueError):
            Trunking(twilio).trunk(sid)
    assert asked == []


def test_the_token_in_the_accounts_answer_is_not_kept() -> None:
    body = {"sid": SID, "status": "active", "type": "Full", "friendly_name": "x", "auth_token": "very secret"}
    twilio, _asked = speaking(httpx.Response(200, json=body))
    assert "very secret" not in repr(twilio.account())


def test_a_new_password_is_what_twilio_demands_and_never_the_same() -> None:
    made = {new_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        assert len(password) >= 12
        assert any(c.isdigit() for c in password)
        assert any(c.islower() for c in password)
        assert any(c.isupper() for c in password)


def test_geo_permissions_are_asked_of_their_own_host() -> None:
    twilio, asked = speaking(httpx.Response(200, json={"iso_code": "GB", "low_risk_numbers_enabled": True}))
    assert twilio.may_call("GB")
    assert str(asked[0].url) == "https://voice.twilio.com/v1/DialingPermissions/Countries/GB"
    twilio, _asked = speaking(httpx.Response(200, json={"iso_code": "GB", "low_risk_numbers_enabled": False}))
    assert not twilio.may_call("GB")
    with pytest.raises(ValueError):
        twilio.may_call("../Numbers")


def test_a_former_voice_url_is_put_back_with_its_method_or_its_application() -> None:
    number = "PN" + "1" * 32
    twilio, asked = speaking(httpx.Response(200, json={"sid": number, "phone_number": "+12125550190"}))
    twilio.change_number(number, voice_url="https://menu.example.com/", voice_method="GET")
    assert form(asked[0]) == [("VoiceUrl", "https://menu.example.com/"), ("VoiceMethod", "GET")]
    twilio.change_number(number, application_sid="AP1")
    assert form(asked[1]) == [("VoiceApplicationSid", "AP1")]
