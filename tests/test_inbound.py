"""People ring back and are known; whatever happens to us, they are put through."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent, PhoneNumber
from calls import dialer
from calls.lifecycle.apply import apply_next
from calls.models import Call, CallBack, CallStatus, Direction, DoNotCall, LeadPhone, WebhookEvent
from tests import factories
from tests.test_webhook_door import signed

pytestmark = [pytest.mark.django_db(transaction=True)]
THEM = "+14155550151"


@pytest.fixture
def ours() -> PhoneNumber:
    return factories.make_number(
        inbound_agent=factories.make_agent(name="Desk", provider_agent_id="agent_desk")
    )


def ring(
    client: Client, ours: PhoneNumber, *, them: str = THEM, call_id: str | None = "call_in_1"
) -> dict[str, Any]:
    asked: dict[str, Any] = {"from_number": them, "to_number": ours.number, "agent_id": "agent_bound"}
    if call_id:
        asked["call_id"] = call_id
    body = json.dumps({"event": "call_inbound", "call_inbound": asked}).encode()
    answer = client.generic(
        "POST",
        "/webhook/retell/inbound",
        body,
        "application/json",
        headers={"x-retell-signature": signed(body)},
    )
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found.get("call_inbound", found)


def test_a_known_person_gets_the_agent_of_the_last_call_and_what_was_said(
    client: Client, ours: PhoneNumber
) -> None:
    nora = factories.make_agent(name="Nora", provider_agent_id="agent_nora", pinned_version="3")
    lead = factories.make_lead(THEM, name="Ada Lovelace", company="Engines", reason="solar quote")
    past = factories.make_call(
        status=CallStatus.ENDED, lead=lead, counterpart=THEM, agent=nora, summary="Wants a quote by Friday."
    )
    dialer.promise(
        lead, number=THEM, at=timezone.now() + timedelta(days=1), agent=nora, now=timezone.now(), call=past
    )
    answer = ring(client, ours)
    assert answer["override_agent_id"] == "agent_nora"
    said = answer["dynamic_variables"]
    assert said["caller_known"] == "true"
    assert said["first_name"] == "Ada"
    assert said["last_call_summary"] == "Wants a quote by Friday."
    assert said["reason_we_called"] == "solar quote"
    assert "promised" in said["open_promise"]
    call = Call.objects.get(direction=Direction.INBOUND)
    assert answer["metadata"]["call_uuid"] == str(call.pk)
    assert (call.lead, call.counterpart, call.provider_call_id) == (lead, THEM, "call_in_1")


def test_a_retry_gets_the_same_answer_and_makes_no_second_row(client: Client, ours: PhoneNumber) -> None:
    first = ring(client, ours)
    assert ring(client, ours) == first
    assert Call.objects.count() == 1


def test_an_unknown_caller_gets_the_numbers_agent_and_nobodys_secrets(
    client: Client, ours: PhoneNumber
) -> None:
    answer = ring(client, ours)
    assert answer["override_agent_id"] == "agent_desk"
    assert answer["dynamic_variables"]["caller_known"] == "false"
    assert Call.objects.get().lead is None


def test_a_number_that_two_people_share_is_nobodys(client: Client, ours: PhoneNumber) -> None:
    factories.make_lead(THEM, name="Ada")
    factories.make_lead(THEM, name="Bert")
    answer = ring(client, ours)
    assert answer["dynamic_variables"]["caller_known"] == "false"
    assert "Ada" not in json.dumps(answer)


def test_an_agent_that_may_no_longer_call_does_not_answer_either(client: Client, ours: PhoneNumber) -> None:
    gone = factories.make_agent(provider_agent_id="agent_gone", active=False)
    factories.make_call(status=CallStatus.ENDED, lead=factories.make_lead(THEM), counterpart=THEM, agent=gone)
    assert ring(client, ours)["override_agent_id"] == "agent_desk"
    assert Agent.objects.get(pk=gone.pk).active is False


def test_a_person_who_rings_from_another_of_their_phones_gets_the_agent_of_the_last_call(
    client: Client, ours: PhoneNumber
) -> None:
    nora = factories.make_agent(name="Nora", provider_agent_id="agent_nora")
    lead = factories.make_lead("+14155550152", name="Ada")
    LeadPhone.objects.create(lead=lead, number=THEM, position=2)
    factories.make_call(
        status=CallStatus.ENDED, lead=lead, counterpart="+14155550152", agent=nora, sent_at=timezone.now()
    )
    answer = ring(client, ours)
    assert answer["override_agent_id"] == "agent_nora"
    assert answer["dynamic_variables"]["first_name"] == "Ada"


def test_a_withheld_number_makes_a_row_of_nobody(client: Client, ours: PhoneNumber) -> None:
    factories.make_lead(THEM, name="Ada")
    answer = ring(client, ours, them="anonymous")
    assert answer["override_agent_id"] == "agent_desk"
    assert answer["dynamic_variables"]["caller_known"] == "false"
    assert ring(client, ours, them="anonymous") == answer
    call = Call.objects.get()
    assert answer["metadata"]["call_uuid"] == str(call.pk)
    assert (call.counterpart, call.lead, call.our_number) == ("", None, ours.number)


def test_two_withheld_callers_at_once_are_two_calls(client: Client, ours: PhoneNumber) -> None:
    ring(client, ours, them="anonymous", call_id="call_in_1")
    ring(client, ours, them="anonymous", call_id="call_in_2")
    assert Call.objects.inbound().open().count() == 2


@pytest.mark.parametrize("asked", [True, False])
def test_a_withheld_call_ends_and_what_it_asks_for_blocks_nobody(
    client: Client, ours: PhoneNumber, asked: bool
) -> None:
    if asked:
        ring(client, ours, them="anonymous")
    told = {
        "event": "call_analyzed",
        "call": {
            "call_id": "call_in_1",
            "agent_id": "agent_desk",
            "direction": "inbound",
            "from_number": "anonymous",
            "to_number": ours.number,
            "call_status": "ended",
            "start_timestamp": 1_780_000_000_000,
            "end_timestamp": 1_780_000_060_000,
            "disconnection_reason": "user_hangup",
            "transcript_object": [{"role": "user", "content": "Never call me again.", "words": []}],
            "call_analysis": {"custom_analysis_data": {"do_not_call": True, "call_back_time": "10:00"}},
        },
    }
    body = json.dumps(told).encode()
    headers = {"x-retell-signature": signed(body)}
    assert client.generic("POST", "/webhook/retell", body, headers=headers).status_code == 200
    assert apply_next(now=timezone.now())
    call = Call.objects.get()
    assert (call.status, call.counterpart, call.answered_by) == ("ended", "", "person")
    assert call.meaning == "never_call"
    assert WebhookEvent.objects.get().state == "applied"
    assert not DoNotCall.objects.exists()
    assert not CallBack.objects.exists()


def test_a_number_that_is_not_ours_is_answered_empty(client: Client, ours: PhoneNumber) -> None:
    PhoneNumber.objects.filter(pk=ours.pk).update(number="+14155550199")
    answer = ring(client, ours)
    assert "override_agent_id" not in answer
    assert not Call.objects.exists()


def test_a_slow_database_means_an_empty_answer_within_a_second(
    client: Client, ours: PhoneNumber, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any, **__: Any) -> None:
        time.sleep(2.5)

    monkeypatch.setattr("calls.webhooks.retell.answer_inbound", slow)
    started = time.monotonic()
    answer = ring(client, ours)
    assert time.monotonic() - started < 1.5
    assert "override_agent_id" not in answer


def test_a_database_that_is_down_means_an_empty_answer(
    client: Client, ours: PhoneNumber, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise RuntimeError("the database is gone")

    monkeypatch.setattr("calls.webhooks.retell.answer_inbound", down)
    assert "override_agent_id" not in ring(client, ours)


def test_an_unsigned_question_is_refused(client: Client, ours: PhoneNumber) -> None:
    answer = client.post("/webhook/retell/inbound", b"{}", content_type="application/json")
    assert answer.status_code == 401
