"""The desk under the article's contract: agents are created from here; what cannot be done is not offered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from agents.models import Agent, PhoneNumber
from agents.providers.base import NotOffered
from agents.readiness import blocking, checks_of
from calls import dialer
from calls.models import CallStatus, Stop
from tests import factories
from tests.api_client import Api, problem

if TYPE_CHECKING:
    from agents.sandbox.server import Sandbox

pytestmark = pytest.mark.django_db
AGENTS = "/admin/agents/agent/"
FILLED = {
    "name": "Outbound Sales Agent",
    "model_provider": "openai",
    "model": "gpt-4-turbo",
    "temperature": "0.7",
    "max_tokens": "500",
    "voice_provider": "elevenlabs",
    "voice_id": "21m00Tcm4TlvDq8ikWAM",
    "speed": "1.0",
    "stability": "0.5",
    "similarity_boost": "0.75",
    "transcriber_provider": "deepgram",
    "transcriber_model": "nova-2",
    "language": "en-US",
    "engine": "retell-llm",
    "engine_url": "wss://your-server.com/llm-websocket",
}


@pytest.fixture(autouse=True)
def _article(settings: LazySettings) -> None:
    settings.RETELL_CONTRACT = "article"


@pytest.fixture
def desk(administrator: User) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


class TestCreatingAtThePhoneCompany:
    def test_a_new_agent_is_made_there_and_its_id_is_kept(self, desk: Client, sandbox: Sandbox) -> None:
        answer = desk.post(f"{AGENTS}add/", FILLED, follow=True)
        agent = Agent.objects.get()
        assert f"Created at the phone company as {agent.provider_agent_id}" in answer.content.decode()
        assert (
            sandbox.account.agent(agent.provider_agent_id)["assistant"]["voice"]["similarity_boost"] == 0.75
        )
        assert (agent.name, agent.voice, agent.language) == (
            "Outbound Sales Agent",
            "21m00Tcm4TlvDq8ikWAM",
            "en-US",
        )
        assert agent.draft["max_tokens"] == 500
        assert LogEntry.objects.filter(object_id=agent.pk).exists()

    def test_on_an_agents_page_the_id_is_replaced_and_the_next_call_uses_it(
        self, desk: Client, sandbox: Sandbox
    ) -> None:
        agent = factories.make_agent(provider_agent_id="agent_of_before", name="Nora")
        page = desk.get(f"{AGENTS}{agent.pk}/change/").content.decode()
        assert f"{AGENTS}{agent.pk}/create-there/" in page
        form = desk.get(f"{AGENTS}{agent.pk}/create-there/").content.decode()
        assert 'value="Nora"' in form
        desk.post(f"{AGENTS}{agent.pk}/create-there/", FILLED)
        agent.refresh_from_db()
        assert agent.provider_agent_id != "agent_of_before"
        assert sandbox.account.agent(agent.provider_agent_id)
        again = desk.get(f"{AGENTS}{agent.pk}/create-there/").content.decode()
        assert "21m00Tcm4TlvDq8ikWAM" in again
        assert "Creating it again makes another" in again

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("temperature", "2.5"),
            ("max_tokens", "0"),
            ("max_tokens", "4097"),
            ("speed", "0.4"),
            ("speed", "nan"),
            ("stability", "1.1"),
            ("similarity_boost", "-1"),
            ("engine", "another"),
            ("engine_url", "https://your-server.com/"),
            ("name", ""),
            ("voice_id", "x" * 121),
        ],
    )
    def test_a_value_out_of_its_range_is_said_and_nothing_is_sent(
        self, desk: Client, name: str, value: str
    ) -> None:
        """The base URL leads nowhere here: an attempt would say so."""
        answer = desk.post(f"{AGENTS}add/", {**FILLED, name: value})
        assert answer.status_code == 200
        assert list(answer.context["form"].errors) == [name]
        assert not Agent.objects.exists()

    def test_a_refusal_is_shown_with_what_to_do_and_what_was_typed_stays(
        self, desk: Client, sandbox: Sandbox
    ) -> None:
        sandbox.control("faults", answer_401={"next": 1})
        page = desk.post(f"{AGENTS}add/", FILLED).content.decode()
        assert "It was not created." in page
        assert "put the right one into RETELL_API_KEY" in page
        assert 'value="Outbound Sales Agent"' in page
        assert not Agent.objects.exists()

    def test_sales_may_not(self, sales: User, client: Client) -> None:
        agent = factories.make_agent()
        client.force_login(sales)
        for path in (f"{AGENTS}add/", f"{AGENTS}{agent.pk}/create-there/"):
            assert client.post(path, FILLED).status_code == 403
        assert "create-there" not in client.get(f"{AGENTS}{agent.pk}/change/").content.decode()

    def test_under_todays_contract_it_is_not_offered_and_says_why(
        self, desk: Client, settings: LazySettings
    ) -> None:
        settings.RETELL_CONTRACT = "current"
        agent = factories.make_agent()
        assert "create-there" not in desk.get(f"{AGENTS}{agent.pk}/change/").content.decode()
        page = desk.post(f"{AGENTS}{agent.pk}/create-there/", FILLED, follow=True).content.decode()
        assert "Sync brings them here" in page
        assert Agent.objects.get().provider_agent_id == agent.provider_agent_id


class TestWhatCannotBeDone:
    def test_sync_is_not_offered_and_says_why(self, desk: Client) -> None:
        agent = factories.make_agent()
        for path in (AGENTS, f"{AGENTS}{agent.pk}/change/", "/admin/agents/phonenumber/"):
            page = desk.get(path).content.decode()
            assert "/admin/agents/agent/sync/" not in page
            assert "there is nothing to sync" in page
        assert "there is nothing to sync" in desk.post(f"{AGENTS}sync/", follow=True).content.decode()
        with pytest.raises(CommandError, match="nothing to sync"):
            call_command("sync_agents")

    def test_an_agent_is_judged_by_what_was_done_from_here(self) -> None:
        agent = factories.make_agent(profile={"suspended": True})
        assert [check.level for check in checks_of(agent)] == ["amber"]
        assert blocking(agent) == []

    def test_numbers_are_added_by_hand(self, desk: Client) -> None:
        page = "/admin/agents/phonenumber/"
        assert f"{page}add/" in desk.get(page).content.decode()
        given = {"number": "+14155550188", "label": "Sales", "line": "default", "active": "on"}
        assert desk.post(f"{page}add/", given).status_code == 302
        assert PhoneNumber.objects.get().number == "+14155550188"

    def test_under_todays_contract_numbers_are_not(self, desk: Client, settings: LazySettings) -> None:
        settings.RETELL_CONTRACT = "current"
        assert desk.get("/admin/agents/phonenumber/add/").status_code == 403

    def test_hanging_up_is_not_offered_and_says_why(self, desk: Client) -> None:
        call = factories.make_call(status=CallStatus.IN_PROGRESS, provider_call_id="call_1")
        page = desk.get(f"/admin/calls/call/{call.pk}/change/").content.decode()
        assert f"{call.pk}/hang-up/" not in page
        assert "cannot be told to hang up" in page
        page = desk.post(f"/admin/calls/call/{call.pk}/hang-up/", follow=True).content.decode()
        assert "cannot be told to hang up" in page
        call.refresh_from_db()
        assert call.hang_up_at is None

    def test_hanging_up_over_rest_is_409_with_the_reason(self) -> None:
        call = factories.make_call(status=CallStatus.IN_PROGRESS, provider_call_id="call_1")
        told = problem(Api().post(f"/api/v1/calls/{call.pk}/hang-up/"), 409, "not_offered")
        assert "cannot be told to hang up" in told["detail"]

    def test_a_stop_says_that_what_is_on_cannot_be_hung_up(self, desk: Client, manager: User) -> None:
        factories.make_call(status=CallStatus.IN_PROGRESS, provider_call_id="call_1")
        dialer.stop(by=manager, reason="Enough.", now=timezone.now())
        page = desk.get("/admin/calling/").content.decode()
        assert "Hang up?" not in page
        assert "cannot be told to hang up" in page
        with pytest.raises(NotOffered):
            dialer.hang_up_left(Stop.objects.get(), by=manager, now=timezone.now())

    def test_a_stop_hangs_up_what_people_call_from_their_telephones(
        self, desk: Client, manager: User
    ) -> None:
        """Twilio carries those, whatever this contract can do."""
        ours = factories.make_call(status=CallStatus.IN_PROGRESS, provider_call_id="call_1")
        theirs = factories.make_call(
            status=CallStatus.IN_PROGRESS, provider="twilio", desk_number="+14155550190", agent=None
        )
        made = dialer.stop(by=manager, reason="Enough.", now=timezone.now())
        page = desk.get("/admin/calling/").content.decode()
        assert "2 on the phone" in page
        assert "Hang up?" in page
        assert "cannot be told to hang up" in page
        told = desk.post("/admin/calling/hang-up/", {"stop": made.pk}, follow=True).content.decode()
        assert "1 call is being hung up." in told
        assert "Of these 1 being hung up." in told
        assert "They are being hung up." not in told
        ours.refresh_from_db(), theirs.refresh_from_db()
        assert (ours.hang_up_at, theirs.hang_up_at is not None) == (None, True)
