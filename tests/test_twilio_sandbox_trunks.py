"""A trunk's numbers, credentials and pace at the sandbox, and who reaches Retell over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client
from twilio_wire import BUSY, LEAD, OURS, official
from webhook_receiver import eventually

from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox

pytestmark = pytest.mark.one_engine


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(speed=400, seed=7) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Client:
    return official(sandbox.url)


def ring(client: Client, to: str) -> str:
    return client.calls.create(to=to, from_=OURS, twiml="<Response/>").sid


def ended(client: Client, sid: str) -> Any:
    return eventually(lambda: (call := client.calls(sid).fetch()).end_time and call)


def test_a_trunk_is_made_step_by_step_and_leads_in_and_out(sandbox: Sandbox, client: Client) -> None:
    (number,) = client.incoming_phone_numbers.list(phone_number="+12125550181")
    trunk = client.trunking.v1.trunks.create(friendly_name="x", domain_name="x-1.pstn.twilio.com")
    assert trunk.auth_type_set == []
    made = client.api.v2010.account.sip.credential_lists.create(friendly_name="x")
    credentials = client.api.v2010.account.sip.credential_lists(made.sid).credentials
    with pytest.raises(TwilioRestException):
        credentials.create(username="desk", password="too-short")
    credentials.create(username="desk", password="Long-Enough-123")
    here = client.trunking.v1.trunks(trunk.sid)
    here.credentials_lists.create(credential_list_sid=made.sid)
    here.origination_urls.create(
        weight=10, priority=10, enabled=True, friendly_name="x", sip_url="sip:sip.retellai.com;transport=tcp"
    )
    attached = here.phone_numbers.create(phone_number_sid=number.sid)
    assert (attached.trunk_sid, attached.voice_url) == (trunk.sid, "")
    assert here.fetch().auth_type_set == ["CREDENTIAL_LIST"]
    refuses = sandbox.twilio.carriage.refuses
    right = {
        "termination_uri": "x-1.pstn.twilio.com",
        "auth_username": "desk",
        "auth_password": "Long-Enough-123",
    }
    denied = "telephony_provider_permission_denied"
    assert refuses(right, "+12125550181", LEAD) == ""
    assert refuses({**right, "auth_password": "x"}, "+12125550181", LEAD) == denied
    assert refuses(right, "+13035550100", LEAD) == denied
    rung = sandbox.control("twilio/inbound", from_number=LEAD, to_number="+12125550181")
    assert rung["problem"].startswith("32011")
    with pytest.raises(TwilioRestException):
        here.delete()
    here.phone_numbers(number.sid).delete()
    assert here.phone_numbers.list() == []
    assert here.delete()


def test_what_is_over_a_trunks_pace_is_rejected_and_over_the_accounts_waits(
    sandbox: Sandbox, client: Client
) -> None:
    sandbox.control("settings", trunk_pace=1, twilio_pace=10)
    try:
        placed = [
            httpx.post(
                sandbox.url + "/v2/create-phone-call",
                json={"from_number": NUMBERS[2], "to_number": LEAD},
                headers={"Authorization": f"Bearer {sandbox.api_key}"},
            ).json()["call_id"]
            for _call in range(4)
        ]
        over = eventually(
            lambda: (
                all(
                    (found := [sandbox.ledger(call) for call in placed])[i]["stage"] == "over"
                    for i in range(4)
                )
                and [call["disconnection_reason"] for call in found]
            )
        )
        assert over.count("telephony_provider_unavailable") == 2
        calls = [ended(client, ring(client, BUSY)) for _call in range(2)]
        sids = [ring(client, BUSY) for _call in range(4)]
        waited = [int(ended(client, sid).queue_time) for sid in sids]
        assert max(waited) >= 100
        assert {call.status for call in calls} == {"busy"}
    finally:
        sandbox.control("settings", trunk_pace=0, twilio_pace=0)


def test_somebody_ringing_a_number_on_a_trunk_reaches_retell(sandbox: Sandbox) -> None:
    rung = sandbox.control("twilio/inbound", from_number=LEAD, to_number=NUMBERS[2])
    assert rung["problem"] == ""
    assert sandbox.ledger(rung["call_id"])["direction"] == "inbound"
