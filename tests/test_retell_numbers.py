"""Retell's numbers: asked for as its own library asks, and at the sandbox worth what their trunk is worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import retell
from retell_wire import BASE, FROM, KEY, NUMBER, ours, shape, theirs
from twilio.rest import Client
from twilio_wire import LEAD, OURS, official
from webhook_receiver import eventually

from agents.providers.base import NotFound, NotOffered, Refused, Unclear
from agents.providers.numbers import NumberOrder
from agents.providers.retell import RetellProvider
from agents.providers.retell_article import ArticleProvider
from agents.sandbox.server import Sandbox

pytestmark = pytest.mark.one_engine

PASSWORD = "Long-Enough-123"
DOMAIN = "desk-1.pstn.twilio.com"
WEBHOOK = "https://calls.example.com/webhook/retell/inbound"
ORDER = NumberOrder(
    number=FROM,
    label="Front desk",
    trunk_domain=DOMAIN,
    username="desk",
    password=PASSWORD,
    inbound_agent_id="agent_1",
    outbound_agent_id="agent_2",
    inbound_webhook_url=WEBHOOK,
    fallback_number="+14155550123",
)
COMMON: dict[str, Any] = {
    "termination_uri": DOMAIN,
    "transport": "TCP",
    "nickname": "Front desk",
    "inbound_agents": [{"agent_id": "agent_1", "weight": 1}],
    "outbound_agents": [{"agent_id": "agent_2", "weight": 1}],
    "inbound_webhook_url": WEBHOOK,
}
SAME: dict[str, tuple[Callable[[RetellProvider], object], Callable[[retell.Retell], object]]] = {
    "get-phone-number": (
        lambda us: us.fetch_number(FROM),
        lambda sdk: sdk.phone_number.retrieve(FROM),
    ),
    "import-phone-number": (
        lambda us: us.import_number(ORDER),
        lambda sdk: sdk.phone_number.import_(
            phone_number=FROM,
            sip_trunk_auth_username="desk",
            sip_trunk_auth_password=PASSWORD,
            ignore_e164_validation=False,
            **COMMON,
        ),
    ),
    "update-phone-number": (
        lambda us: us.change_number(ORDER),
        lambda sdk: sdk.phone_number.update(
            FROM,
            auth_username="desk",
            auth_password=PASSWORD,
            fallback_number="+14155550123",
            **COMMON,
        ),
    ),
    "delete-phone-number": (
        lambda us: us.remove_number(FROM),
        lambda sdk: sdk.phone_number.delete(FROM),
    ),
}
TRUNKED = {
    **NUMBER,
    "fallback_number": "+14155550123",
    "sip_outbound_trunk_config": {"termination_uri": DOMAIN, "auth_username": "desk", "transport": "TCP"},
}
ANSWERS: dict[str, Any] = {
    f"GET /get-phone-number/{FROM}": TRUNKED,
    "POST /import-phone-number": httpx.Response(201, json=TRUNKED),
    f"PATCH /update-phone-number/{FROM}": TRUNKED,
    f"DELETE /delete-phone-number/{FROM}": httpx.Response(204),
}


@pytest.mark.parametrize("name", SAME)
def test_we_ask_what_retells_own_library_asks(name: str) -> None:
    us, sdk = SAME[name]
    provider, wire = ours(ANSWERS)
    us(provider)
    method, path, body = shape(theirs(sdk, TRUNKED))
    assert wire.asked() == [(method, path, body)]


def test_a_number_tells_its_trunk_and_where_it_falls_back_to() -> None:
    provider, _wire = ours(ANSWERS)
    found = provider.fetch_number(FROM)
    assert (found.trunk_domain, found.trunk_username, found.fallback_number) == (
        DOMAIN,
        "desk",
        "+14155550123",
    )
    bought = {**TRUNKED, "phone_number_type": "retell-twilio"}
    provider, _wire = ours({f"GET /get-phone-number/{FROM}": bought})
    assert provider.fetch_number(FROM).trunk_domain == ""


def test_an_import_is_sent_once_and_a_number_that_is_not_there_is_said_to_be_so() -> None:
    provider, wire = ours({"POST /import-phone-number": httpx.Response(500)})
    with pytest.raises(Unclear):
        provider.import_number(ORDER)
    assert len(wire.seen) == 1
    gone = httpx.Response(422, json={"status": "error", "message": "Cannot find requested asset"})
    provider, _wire = ours(dict.fromkeys(ANSWERS, gone))
    with pytest.raises(NotFound):
        provider.fetch_number(FROM)
    with pytest.raises(NotFound):
        provider.remove_number(FROM)
    with pytest.raises(Refused):
        provider.change_number(ORDER)


def test_the_password_is_in_no_line_that_a_log_could_hold() -> None:
    assert PASSWORD not in repr(ORDER)


def test_the_articles_contract_knows_no_numbers() -> None:
    article = ArticleProvider(base_url=BASE, api_key=KEY)
    with pytest.raises(NotOffered):
        article.import_number(ORDER)
    with pytest.raises(NotOffered):
        article.fetch_number(FROM)
    article.close()


class TestAtTheSandbox:
    """The official libraries judge what it answers; the trunk decides whether a call passes."""

    @pytest.fixture
    def sandbox(self) -> Iterator[Sandbox]:
        with Sandbox(speed=400, seed=7, api_key=KEY) as sandbox:
            yield sandbox

    @pytest.fixture
    def sdk(self, sandbox: Sandbox) -> retell.Retell:
        return retell.Retell(api_key=KEY, base_url=sandbox.url, max_retries=0)

    @pytest.fixture
    def number_sid(self, sandbox: Sandbox) -> str:
        """On a trunk with credentials and Retell's address."""
        twilio: Client = official(sandbox.url)
        (number,) = twilio.incoming_phone_numbers.list(phone_number=OURS)
        trunk = twilio.trunking.v1.trunks.create(friendly_name="x", domain_name=DOMAIN)
        made = twilio.api.v2010.account.sip.credential_lists.create(friendly_name="x")
        credentials = twilio.api.v2010.account.sip.credential_lists(made.sid).credentials
        credentials.create(username="desk", password=PASSWORD)
        trunk.credentials_lists.create(credential_list_sid=made.sid)
        trunk.origination_urls.create(
            weight=10, priority=10, enabled=True, friendly_name="x", sip_url="sip:sip.retellai.com"
        )
        trunk.phone_numbers.create(phone_number_sid=number.sid)
        return str(number.sid)

    def imported(self, sandbox: Sandbox, **changes: Any) -> None:
        us = RetellProvider(base_url=sandbox.url, api_key=KEY)
        order = dataclasses.replace(
            ORDER, number=OURS, inbound_agent_id="agent_sandbox_lena", outbound_agent_id="agent_sandbox_ava"
        )
        try:
            us.import_number(dataclasses.replace(order, **changes))
        finally:
            us.close()

    def ended(self, sandbox: Sandbox, sdk: retell.Retell, to: str = LEAD) -> str:
        placed = sdk.call.create_phone_call(from_number=OURS, to_number=to)
        over = eventually(
            lambda: (
                (call := sandbox.ledger(placed.call_id))["stage"] == "over" and call["disconnection_reason"]
            )
        )
        return str(over)

    @pytest.mark.usefixtures("number_sid")
    def test_an_imported_number_is_read_by_the_official_library_without_its_password(
        self, sandbox: Sandbox, sdk: retell.Retell
    ) -> None:
        self.imported(sandbox)
        found = sdk.phone_number.retrieve(OURS)
        assert (found.phone_number_type, found.nickname) == ("custom", "Front desk")
        assert found.sip_outbound_trunk_config is not None
        assert found.sip_outbound_trunk_config.termination_uri == DOMAIN
        assert PASSWORD not in found.to_json()
        assert OURS in [item.phone_number for item in sdk.phone_number.list().items]
        with pytest.raises(retell.BadRequestError):
            sdk.phone_number.import_(phone_number=OURS, termination_uri=DOMAIN)
        sdk.phone_number.delete(OURS)
        with pytest.raises(retell.UnprocessableEntityError):
            sdk.phone_number.retrieve(OURS)

    @pytest.mark.usefixtures("number_sid")
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({}, ""),
            ({"password": "Another-One-456"}, "telephony_provider_permission_denied"),
            ({"username": "somebody"}, "telephony_provider_permission_denied"),
            ({"trunk_domain": "typo.pstn.twilio.com"}, "sip_routing_error"),
        ],
        ids=["right", "password", "user name", "domain"],
    )
    def test_a_call_out_passes_with_the_right_credentials_alone(
        self, sandbox: Sandbox, sdk: retell.Retell, changes: dict[str, str], reason: str
    ) -> None:
        self.imported(sandbox, **changes)
        ended = self.ended(sandbox, sdk)
        assert ended == reason or (not reason and ended in {"user_hangup", "agent_hangup"})

    def test_a_number_off_its_trunk_and_a_closed_country_are_refused(
        self, sandbox: Sandbox, sdk: retell.Retell, number_sid: str
    ) -> None:
        self.imported(sandbox)
        sandbox.control("settings", closed_countries=["GB"])
        assert self.ended(sandbox, sdk, "+442079460123") == "telephony_provider_permission_denied"
        permission = official(sandbox.url).voice.v1.dialing_permissions.countries("GB").fetch()
        assert permission.low_risk_numbers_enabled is False
        official(sandbox.url).incoming_phone_numbers(number_sid).update(voice_url="https://x.example.com/")
        assert self.ended(sandbox, sdk) == "telephony_provider_permission_denied"

    def test_a_call_in_comes_over_the_origination_url_or_not_at_all(
        self, sandbox: Sandbox, number_sid: str
    ) -> None:
        self.imported(sandbox, inbound_webhook_url="http://127.0.0.1:9/nobody")
        rung = sandbox.control("twilio/inbound", from_number=LEAD, to_number=OURS)
        assert rung["problem"] == ""
        twilio = official(sandbox.url)
        trunk = twilio.trunking.v1.trunks(twilio.incoming_phone_numbers(number_sid).fetch().trunk_sid)
        (origin,) = trunk.origination_urls.list()
        trunk.origination_urls(origin.sid).update(sip_url="sip:elsewhere.example.com")
        rung = sandbox.control("twilio/inbound", from_number=LEAD, to_number=OURS)
        assert rung["problem"].startswith("32011")
        # Also for whoever rings from the customer page.
        rung = sandbox.control("inbound", from_number=LEAD, to_number=OURS)
        assert sandbox.ledger(rung["call_id"])["disconnection_reason"].startswith("32011")
        trunk.origination_urls(origin.sid).update(enabled=False)
        rung = sandbox.control("twilio/inbound", from_number=LEAD, to_number=OURS)
        assert rung["problem"].startswith("32010")

    def test_an_answer_that_was_lost_leaves_what_was_made(self, sandbox: Sandbox) -> None:
        sandbox.control("faults", make_500_after={"next": 1, "event": "import-phone-number"})
        with pytest.raises(Unclear):
            self.imported(sandbox)
        us = RetellProvider(base_url=sandbox.url, api_key=KEY)
        assert us.fetch_number(OURS).label == "Front desk"
        us.close()
