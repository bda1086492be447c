"""Today's contract stops an interrupted AI agent itself; how easily is set on its page."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents import readiness, sync
from agents.models import Agent
from agents.providers.registry import get_provider
from agents.sandbox.server import Sandbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def ava(sandbox: Sandbox) -> Agent:
    sync.sync(get_provider(), now=timezone.now())
    return Agent.objects.get(name__startswith="Ava")


def path(agent: Agent) -> str:
    return f"/admin/agents/agent/{agent.pk}/listening/"


def filled(**changes: str) -> dict[str, str]:
    return {"interruption_sensitivity": "1", "responsiveness": "1", "denoising": "noise", **changes}


def there(sandbox: Sandbox, agent: Agent) -> dict[str, Any]:
    found = sandbox.account.agent(agent.provider_agent_id)
    return {
        name: found.get(name) for name in ("interruption_sensitivity", "responsiveness", "denoising_mode")
    }


def test_how_it_listens_is_set_there_under_its_own_names_and_read_back(
    ava: Agent, sandbox: Sandbox, manager: User, client: Client
) -> None:
    client.force_login(manager)
    page = client.get(f"/admin/agents/agent/{ava.pk}/change/").content.decode()
    assert path(ava) in page
    page = client.get(path(ava)).content.decode()
    assert "Retell stops the AI agent by itself when the person speaks" in page
    changed = filled(interruption_sensitivity="0.6", responsiveness="0.8", denoising="noise_and_speech")
    answer = client.post(path(ava), changed, follow=True)
    assert "Changed at the phone company, and read back." in answer.content.decode()
    assert there(sandbox, ava) == {
        "interruption_sensitivity": 0.6,
        "responsiveness": 0.8,
        "denoising_mode": "noise-and-background-speech-cancellation",
    }
    ava.refresh_from_db()
    profile = readiness.profile_from_json(ava.profile)
    assert profile is not None
    assert (profile.interruption_sensitivity, profile.denoising) == (0.6, "noise_and_speech")
    assert 'value="0.6"' in client.get(path(ava)).content.decode()


def test_only_what_was_changed_is_sent(ava: Agent, sandbox: Sandbox, manager: User, client: Client) -> None:
    client.force_login(manager)
    before = there(sandbox, ava)
    client.post(path(ava), filled(responsiveness="0.5"))
    assert there(sandbox, ava) == {**before, "responsiveness": 0.5}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("interruption_sensitivity", "1.1"),
        ("interruption_sensitivity", "nan"),
        ("responsiveness", "-0.1"),
        ("responsiveness", ""),
        ("denoising", "everything"),
    ],
)
def test_a_share_out_of_its_range_is_said_and_nothing_is_sent(
    ava: Agent, sandbox: Sandbox, manager: User, client: Client, name: str, value: str
) -> None:
    client.force_login(manager)
    before = there(sandbox, ava)
    answer = client.post(path(ava), filled(**{name: value}))
    assert list(answer.context["form"].errors) == [name]
    assert there(sandbox, ava) == before


def test_a_refusal_there_is_said_and_what_was_typed_stays(
    ava: Agent, sandbox: Sandbox, manager: User, client: Client
) -> None:
    client.force_login(manager)
    sandbox.control("faults", answer_401={"next": 1})
    page = client.post(path(ava), filled(responsiveness="0.35")).content.decode()
    assert "The phone company did not change it" in page
    assert 'value="0.35"' in page


def test_a_profile_of_before_is_still_one(ava: Agent) -> None:
    kept = {
        name: value
        for name, value in ava.profile.items()
        if name not in ("interruption_sensitivity", "responsiveness", "denoising")
    }
    profile = readiness.profile_from_json(kept)
    assert profile is not None
    assert (profile.interruption_sensitivity, profile.responsiveness, profile.denoising) == (1, 1, "noise")


def test_sales_may_not_and_the_other_contract_does_not_offer_it(
    ava: Agent, sales: User, manager: User, client: Client, settings: LazySettings
) -> None:
    client.force_login(sales)
    assert client.post(path(ava), filled()).status_code == 403
    settings.RETELL_CONTRACT = "article"
    client.force_login(manager)
    assert path(ava) not in client.get(f"/admin/agents/agent/{ava.pk}/change/").content.decode()
    assert "nothing to sync" in client.get(path(ava), follow=True).content.decode()
