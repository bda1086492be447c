"""AI agents and numbers: synced, judged, mended at the phone company, heard before anybody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from agents import sync
from agents.models import Agent, PhoneNumber
from agents.providers.registry import get_provider
from agents.readiness import Level, checks_of
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox
from calls.models import Call, Via, WebhookEvent
from tests.factories import make_agent, make_call, make_lead, make_number

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]

AGENTS, NUMBER_LIST = "/admin/agents/agent/", "/admin/agents/phonenumber/"
HOSTILE = '<script>alert(1)</script>" x-data="{a:alert(2)}" onload=x'
SignIn = Callable[[User], Client]


@pytest.fixture
def desk(sign_in: SignIn, manager: User) -> Client:
    return sign_in(manager)


@pytest.fixture
def synced(sandbox: Sandbox) -> Sandbox:
    sync.sync(get_provider(), now=timezone.now())
    return sandbox


def agent_named(name: str) -> Agent:
    return Agent.objects.get(name__startswith=name)


def page(client: Client, agent: Agent, **query: str) -> str:
    answer = client.get(f"{AGENTS}{agent.pk}/change/", query)
    assert answer.status_code == 200
    return answer.content.decode()


def lights(agent: Agent) -> dict[str, str]:
    return {check.code: check.level.value for check in checks_of(agent)}


class TestSync:
    def test_brings_agents_numbers_and_who_calls_from_where(self, sandbox: Sandbox) -> None:
        done = sync.sync(get_provider(), now=timezone.now())
        assert (done.agents.new, done.numbers.new) == (6, 4)
        ava = agent_named("Ava")
        assert ava.language == "en-US"
        assert ava.opening_line.startswith("Hi {{first_name}}")
        assert ava.default_caller_id is not None
        assert ava.default_caller_id.number == NUMBERS[0]
        assert "callback_time" in [field["name"] for field in ava.analysis_fields]
        assert PhoneNumber.objects.get(number=NUMBERS[0]).inbound_agent == agent_named("Lena")

    def test_a_second_time_nothing_is_new_and_what_staff_decided_stays(self, synced: Sandbox) -> None:
        Agent.objects.filter(name__startswith="Ava").update(
            active=False, pinned_version="1", default_caller_id=None
        )
        PhoneNumber.objects.filter(number=NUMBERS[0]).update(label="Mine", line="slow", active=False)
        done = sync.sync(get_provider(), now=timezone.now())
        assert (done.agents.new, done.agents.known, done.agents.gone) == (0, 6, 0)
        ava = agent_named("Ava")
        assert (ava.active, ava.pinned_version, ava.default_caller_id) == (False, "1", None)
        number = PhoneNumber.objects.get(number=NUMBERS[0])
        assert (number.label, number.line, number.active) == ("Mine", "slow", False)

    def test_what_is_gone_is_marked_and_may_not_call_and_comes_back(self, synced: Sandbox) -> None:
        gone = make_agent(name="Gone", provider_agent_id="agent_gone")
        number = make_number(last_synced_at=timezone.now())
        by_hand = make_number()
        done = sync.sync(get_provider(), now=timezone.now())
        assert (done.agents.gone, done.numbers.gone) == (1, 1)
        for row in (gone, number, by_hand):
            row.refresh_from_db()
        assert gone.gone_since is not None
        assert checks_of(gone)[0].level == Level.RED
        assert number not in PhoneNumber.objects.usable()
        assert by_hand in PhoneNumber.objects.usable()
        Agent.objects.filter(name__startswith="Ava").update(gone_since=timezone.now())
        sync.sync(get_provider(), now=timezone.now())
        assert agent_named("Ava").gone_since is None

    def test_a_phone_company_that_is_away_changes_nothing(
        self, synced: Sandbox, settings: LazySettings
    ) -> None:
        settings.RETELL_BASE_URL = "http://127.0.0.1:9"
        with pytest.raises(CommandError, match="could not be asked"):
            call_command("sync_agents")
        assert not Agent.objects.exclude(gone_since=None).exists()

    def test_by_command_it_says_what_it_did(
        self, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
    ) -> None:
        call_command("sync_agents")
        assert "AI agents: 6 new, 0 renewed, 0 gone" in capsys.readouterr().out

    def test_by_button_it_goes_back_to_where_it_was_pressed(self, desk: Client, sandbox: Sandbox) -> None:
        answer = desk.post(f"{AGENTS}sync/", {"back": "numbers"}, follow=True)
        assert answer.redirect_chain[-1][0] == NUMBER_LIST
        assert "6 new" in answer.content.decode()

    def test_sales_may_look_and_not_sync(self, sign_in: SignIn, sales: User, synced: Sandbox) -> None:
        client = sign_in(sales)
        assert "Sync with" not in client.get(AGENTS).content.decode()
        for path in ("sync/", f"{agent_named('Clara').pk}/fix/"):
            assert client.post(f"{AGENTS}{path}").status_code == 403
        assert client.get(f"{AGENTS}{agent_named('Ava').pk}/edit/").status_code == 403
        assert "Fix at Retell" not in page(client, agent_named("Clara"))


class TestReadiness:
    def test_the_list_has_a_light_and_the_sentence(self, desk: Client, synced: Sandbox) -> None:
        body = desk.get(AGENTS).content.decode()
        assert "Not ready" in body
        assert "{{policy_number}}" in body

    def test_the_card_shows_what_a_fix_would_change_before_it_does(
        self, desk: Client, synced: Sandbox
    ) -> None:
        clara = agent_named("Clara")
        body = page(desk, clara)
        assert "<del>http://127.0.0.1:9/somewhere-else</del>" in body
        assert "<ins>http://testserver/webhook/retell</ins>" in body
        assert lights(clara)["webhook"] == "red"

    def test_a_fix_is_made_at_the_phone_company_and_read_back(self, desk: Client, synced: Sandbox) -> None:
        clara = agent_named("Clara")
        desk.post(f"{AGENTS}{clara.pk}/fix/", {"code": "webhook"})
        assert (
            get_provider().fetch_agent(clara.provider_agent_id).webhook_url
            == "http://testserver/webhook/retell"
        )
        clara.refresh_from_db()
        assert lights(clara)["webhook"] == "green"
        assert lights(clara)["variables"] == "red"

    def test_everything_that_can_be_fixed_is_fixed_at_once(self, desk: Client, synced: Sandbox) -> None:
        clara = agent_named("Clara")
        codes = [check.code for check in checks_of(clara) if check.fix]
        answer = desk.post(f"{AGENTS}{clara.pk}/fix/", {"code": codes}, follow=True)
        assert "Changed at the phone company" in answer.content.decode()
        clara.refresh_from_db()
        assert not [code for code, level in lights(clara).items() if level == "red"]
        names = {field.name for field in get_provider().fetch_agent(clara.provider_agent_id).analysis_fields}
        assert "callback_time" in names

    def test_what_was_changed_there_meanwhile_is_not_written_over(
        self, desk: Client, synced: Sandbox
    ) -> None:
        clara = agent_named("Clara")
        get_provider().fix_agent(
            clara.provider_agent_id,
            {"ring_time_ms": 40_000, "events": frozenset({"call_ended", "call_analyzed"})},
        )
        answer = desk.post(f"{AGENTS}{clara.pk}/fix/", {"code": "events"}, follow=True)
        assert "changed there meanwhile" in answer.content.decode()
        now = get_provider().fetch_agent(clara.provider_agent_id)
        assert now.events == {"call_ended", "call_analyzed"}
        assert (
            "Changed at the phone company"
            in desk.post(f"{AGENTS}{clara.pk}/fix/", {"code": "events"}, follow=True).content.decode()
        )

    def test_nothing_to_fix_is_said(self, desk: Client, synced: Sandbox) -> None:
        body = desk.post(f"{AGENTS}{agent_named('Ava').pk}/fix/", {"code": "nonsense"}, follow=True)
        assert "There is nothing to change." in body.content.decode()

    def test_events_that_came_prove_the_account_s_address(self, desk: Client, synced: Sandbox) -> None:
        ava = agent_named("Ava")
        assert "Nothing has come yet" in page(desk, ava)
        WebhookEvent.objects.create(
            key="k",
            call=make_call("ended", agent=ava),
            body=b"{}",
            received_at=timezone.now(),
            next_try_at=timezone.now(),
        )
        assert "What happens on its calls reaches us." in page(desk, ava)

    def test_a_red_agent_calls_nobody_and_the_sentence_says_why(self, desk: Client, synced: Sandbox) -> None:
        clara = agent_named("Clara")
        Agent.objects.filter(pk=clara.pk).update(default_caller_id=PhoneNumber.objects.first())
        answer = desk.post(f"{AGENTS}{clara.pk}/call-me/", {"number": "+1 415 555 0101"}, follow=True)
        assert "policy_number" in answer.content.decode()
        assert not Call.objects.exists()

    def test_an_agent_never_synced_has_a_page(self, desk: Client) -> None:
        assert "Nobody has looked yet" in page(desk, make_agent())


class TestHearing:
    def test_the_first_line_is_the_chosen_lead_s(self, desk: Client, synced: Sandbox) -> None:
        make_lead(name="Ada Lovelace")
        mia = make_lead(name="Mia Novak")
        body = page(desk, agent_named("Ava"), lead=str(mia.pk))
        assert "Hi <mark>Mia</mark>, this is <mark>Ava</mark>" in body

    def test_only_leads_one_may_see_are_offered(
        self, sign_in: SignIn, sales: User, manager: User, synced: Sandbox
    ) -> None:
        theirs = make_lead(name="Secret Person", owner=manager)
        assert "Secret" not in page(sign_in(sales), agent_named("Ava"), lead=str(theirs.pk))

    def test_a_hostile_lead_and_agent_stay_text(self, desk: Client) -> None:
        lead = make_lead(name=HOSTILE)
        agent = make_agent(
            name=HOSTILE, opening_line=f"Hi {{{{first_name}}}} {HOSTILE}", paused_reason=HOSTILE, active=False
        )
        for body in (page(desk, agent, lead=str(lead.pk)), desk.get(AGENTS).content.decode()):
            assert "<script>alert" not in body
            assert '" x-data="{a' not in body

    def test_call_me_first_is_a_test_call_and_remembers_my_number(self, desk: Client, manager: User) -> None:
        agent = make_agent()
        answer = desk.post(f"{AGENTS}{agent.pk}/call-me/", {"number": "(415) 555-0101"}, follow=True)
        call = Call.objects.get()
        assert (call.test, call.counterpart, call.lead, call.requested_by) == (
            True,
            "+14155550101",
            None,
            manager,
        )
        assert call.requests.get().via == Via.TEST
        assert answer.redirect_chain[-1][0] == f"/admin/calls/call/{call.pk}/change/"
        assert "Test call" in answer.content.decode()
        assert 'value="+14155550101"' in page(desk, agent)

    def test_a_number_that_is_none_is_explained(self, desk: Client) -> None:
        answer = desk.post(f"{AGENTS}{make_agent().pk}/call-me/", {"number": "12"}, follow=True)
        assert "wrong number of digits" in answer.content.decode()
        assert not Call.objects.exists()


class TestEditing:
    def test_limits_and_pins_are_edited_and_agents_not_added_or_deleted(self, desk: Client) -> None:
        agent = make_agent()
        assert desk.get(f"{AGENTS}add/").status_code == 403
        assert desk.post(f"{AGENTS}{agent.pk}/delete/", {"post": "yes"}).status_code == 403
        fields: dict[str, Any] = {
            "active": "on",
            "paused_reason": "",
            "default_caller_id": agent.default_caller_id_id,
            "max_concurrent_calls": "2",
            "when_refused": "nothing",
            "pinned_version": "3",
        }
        assert desk.post(f"{AGENTS}{agent.pk}/edit/", fields).status_code == 302
        agent.refresh_from_db()
        assert (agent.max_concurrent_calls, agent.pinned_version) == (2, "3")


class TestNumbers:
    def test_a_number_that_does_not_ask_us_is_mended(self, desk: Client, synced: Sandbox) -> None:
        body = desk.get(NUMBER_LIST).content.decode()
        assert "We are not asked" in body
        number = PhoneNumber.objects.get(number=NUMBERS[0])
        answer = desk.post(f"{NUMBER_LIST}{number.pk}/ask-us/", follow=True)
        assert "We are asked who is calling" in answer.content.decode()
        number.refresh_from_db()
        assert number.inbound_webhook_url == "http://testserver/webhook/retell/inbound"
        there = {profile.number: profile.inbound_webhook_url for profile in get_provider().list_numbers()}
        assert there[NUMBERS[0]] == number.inbound_webhook_url

    def test_label_and_line_are_edited_and_the_number_and_its_use_are_not(self, desk: Client) -> None:
        number = make_number(number="+14155550101")
        assert desk.get(f"{NUMBER_LIST}{number.pk}/change/").status_code == 200
        fields = {"number": "+14155550199", "label": "Desk", "line": "slow"}
        assert desk.post(f"{NUMBER_LIST}{number.pk}/change/", fields).status_code == 302
        number.refresh_from_db()
        assert (number.number, number.label, number.line, number.active) == (
            "+14155550101",
            "Desk",
            "slow",
            True,
        )

    def test_sales_do_not_mend(self, sign_in: SignIn, sales: User) -> None:
        assert sign_in(sales).post(f"{NUMBER_LIST}{make_number().pk}/ask-us/").status_code == 403
