"""One call may have its AI agent differently: as each contract names it, from the sheet and over REST."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from agents.providers.drafts import AgentDraft
from agents.providers.registry import get_provider
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox
from calls import dialer
from calls.dialer.claim import order_of
from calls.models import Call, Lead
from tests.api_client import CALLS, Api, problem
from tests.factories import make_agent, make_call, make_lead, make_number

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
NUMBER = "+14155550101"
DRAFT = AgentDraft(name="Ava", voice_id="21m00Tcm4TlvDq8ikWAM", engine_url="wss://your-server.com/llm")


@pytest.fixture
def agent() -> Agent:
    return make_agent(
        name="Ava",
        provider_agent_id="agent_sandbox_ava",
        default_caller_id=make_number(number=NUMBERS[0]),
    )


@pytest.fixture
def lead(sales: User) -> Lead:
    return make_lead(NUMBER, owner=sales)


def placed(call: Call, sandbox: Sandbox) -> tuple[dict[str, Any], dict[str, Any]]:
    """What goes over the wire for it, and the agent as it spoke there."""
    provider = get_provider()
    body = provider.placement(order_of(call))
    import time

    accepted = provider.place(body, give_up_s=20, started=time.monotonic())
    return json.loads(body), dict(sandbox.network.call(accepted.provider_call_id).agent)


def ask(lead: Lead, agent: Agent, overrides: dict[str, Any]) -> Any:
    return Api().post(CALLS, {"lead": lead.pk, "agent": agent.pk, "overrides": overrides})


def test_todays_contract_gets_them_under_its_own_names(lead: Lead, agent: Agent, sandbox: Sandbox) -> None:
    given = {
        "voice": "retell-Cimo",
        "speed": 1.2,
        "language": "es-ES",
        "opening_line": "Hello, this is Ava, an AI assistant.",
        "temperature": 0.3,
        "interruption_sensitivity": 0.5,
    }
    assert ask(lead, agent, given).status_code == 201
    call = Call.objects.get()
    assert call.overrides == given
    body, spoke = placed(call, sandbox)
    assert body["agent_override"] == {
        "agent": {
            "voice_id": "retell-Cimo",
            "voice_speed": 1.2,
            "language": "es-ES",
            "interruption_sensitivity": 0.5,
        },
        "retell_llm": {
            "begin_message": "Hello, this is Ava, an AI assistant.",
            "model_config": {"temperature": 0.3},
        },
    }
    assert body["override_agent_id"] == "agent_sandbox_ava"
    assert (spoke["voice_id"], spoke["voice_speed"]) == ("retell-Cimo", 1.2)


def test_the_articles_contract_gets_the_whole_agent_as_it_was_created_with_the_changes(
    lead: Lead, agent: Agent, settings: LazySettings, start_sandbox: Any
) -> None:
    settings.RETELL_CONTRACT = "article"
    sandbox = start_sandbox()
    agent.draft = dataclasses.asdict(DRAFT)
    agent.save()
    assert ask(lead, agent, {"voice": "another", "temperature": 1.5, "max_tokens": 80}).status_code == 201
    body, spoke = placed(Call.objects.get(), sandbox)
    assert "assistant_id" not in body
    assert (body["assistant"]["voice"]["voice_id"], body["assistant"]["voice"]["speed"]) == ("another", 1.0)
    assert (body["assistant"]["model"]["temperature"], body["assistant"]["model"]["max_tokens"]) == (1.5, 80)
    assert spoke["agent_id"] == "assistant_of_one_call"


@pytest.mark.parametrize(
    ("contract", "overrides"),
    [
        ("current", {"max_tokens": 80}),
        ("current", {"prompt": "Be rude."}),
        ("article", {"opening_line": "Hello"}),
    ],
)
def test_what_the_contract_has_not_is_409_with_the_reason(
    lead: Lead, agent: Agent, settings: LazySettings, contract: str, overrides: dict[str, Any]
) -> None:
    settings.RETELL_CONTRACT = contract
    agent.draft = dataclasses.asdict(DRAFT)
    agent.save()
    told = problem(ask(lead, agent, overrides), 409, "not_offered")
    assert "cannot be changed for one call of this AI agent. What can: voice" in told["detail"]
    assert not Call.objects.exists()


def test_under_the_articles_contract_only_what_was_created_from_here_can_be_changed(
    lead: Lead, agent: Agent, settings: LazySettings, sales: User, client: Client
) -> None:
    settings.RETELL_CONTRACT = "article"
    told = problem(ask(lead, agent, {"voice": "another"}), 409, "not_offered")
    assert "it was not created from here" in told["detail"]
    client.force_login(sales)
    assert "For this call only" not in client.get(f"/admin/calls/lead/{lead.pk}/call/").content.decode()


@pytest.mark.parametrize(
    "overrides", [{"temperature": 1.1}, {"speed": 0.4}, {"voice": ""}, {"voice": 3}, {"temperature": "warm"}]
)
def test_a_value_out_of_its_range_is_422(lead: Lead, agent: Agent, overrides: dict[str, Any]) -> None:
    told = problem(ask(lead, agent, overrides), 422, "not_allowed")
    assert [reason["code"] for reason in told["reasons"]] == ["bad_override"]
    assert not Call.objects.exists()


@pytest.mark.parametrize("overrides", [{"voice": None}, {"voice": True}, {"voice": ["x"]}, "voice"])
def test_what_is_neither_text_nor_number_is_400(lead: Lead, agent: Agent, overrides: Any) -> None:
    problem(ask(lead, agent, overrides), 400, "invalid")


def test_the_sheet_offers_them_folded_and_the_call_has_them(
    lead: Lead, agent: Agent, sales: User, manager: User, client: Client
) -> None:
    client.force_login(sales)
    path = f"/admin/calls/lead/{lead.pk}/call/"
    sheet = client.get(path).content.decode()
    assert "For this call only…" in sheet
    assert 'name="only_max_tokens"' not in sheet
    given = {"agent": agent.pk, "our_number": "", "only_voice": "retell-Cimo", "only_temperature": "1.4"}
    answer = client.post(path, given)
    assert list(answer.context["form"].errors) == ["only_temperature"]
    assert 'value="retell-Cimo"' in answer.content.decode()
    assert not Call.objects.exists()
    assert client.post(path, {**given, "only_temperature": "0.4"}).status_code == 302
    call = Call.objects.get()
    assert call.overrides == {"voice": "retell-Cimo", "temperature": 0.4}
    page = client.get(f"/admin/calls/call/{call.pk}/change/").content.decode()
    assert "Voice, for this call" in page


def test_the_first_line_shown_is_the_one_of_this_call(
    lead: Lead, agent: Agent, sales: User, client: Client
) -> None:
    agent.opening_line = "Hello {{first_name}}, I am the AI of Acme."
    agent.save()
    client.force_login(sales)
    path = f"/admin/calls/lead/{lead.pk}/call/"
    sheet = client.get(path)
    assert "unless another opening line is written for this call" in sheet.content.decode()
    assert "".join(piece.text for piece in sheet.context["first_line"]).endswith("I am the AI of Acme.")
    given = {"agent": agent.pk, "only_opening_line": "An AI speaks. <b>", "only_temperature": "9"}
    sheet = client.post(path, given)
    assert "".join(piece.text for piece in sheet.context["first_line"]) == "An AI speaks. <b>"


def test_a_call_that_is_adopted_stays_as_it_was_asked_for(lead: Lead, agent: Agent) -> None:
    waiting = make_call(lead=lead, counterpart=NUMBER, agent=agent, overrides={"speed": 1.1})
    asked = dialer.ask(lead=lead, agent=agent, via="desk", overrides={"speed": 1.9}, now=timezone.now())
    assert (asked.adopted, asked.call.pk) == (True, waiting.pk)
    waiting.refresh_from_db()
    assert waiting.overrides == {"speed": 1.1}
