"""A new number, step by step: made once, done again without harm, taken back without a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from number_setup_world import FALLBACK, FORMER, LONDON, SECOND, World
from twilio_wire import OURS

from agents import number_setup
from agents.models import Agent, NumberSetup, NumberSetupStep, PhoneNumber, StepState
from agents.number_setup import NotInTurn, SetupProblem, SomebodyIsAtIt
from agents.providers.registry import get_provider
from agents.providers.twilio.trunk import RETELL_SIP
from agents.sandbox.server import Sandbox

pytestmark = pytest.mark.django_db
DONE = (StepState.DONE, "")
STEPS = ("trunk", "sign_in", "attach", "import")


@pytest.fixture
def world(start_sandbox: Callable[..., Sandbox], manager: User) -> Iterator[World]:
    world = World(start_sandbox(speed=100.0, seed=7), manager)
    yield world
    world.close()


class TestEachStep:
    def test_the_numbers_of_the_account_are_offered_but_those_that_are_here(self, world: World) -> None:
        world.sync()
        world.begin()
        offered = {each.number.number: each.why_not for each in number_setup.candidates()}
        assert offered[SECOND] == ""
        assert "being set up" in offered[OURS]
        assert "one of ours" in offered[LONDON]
        with pytest.raises(SetupProblem, match="being set up"):
            world.begin()
        with pytest.raises(SetupProblem, match="one of ours"):
            world.begin(LONDON)

    def test_four_steps_make_a_number_that_calls_and_is_called_through_retell(self, world: World) -> None:
        setup = world.until("import")
        number = world.number()
        trunk = world.trunks.trunk(number.trunk_sid)
        assert (trunk.sid, trunk.domain, trunk.auth) == (
            setup.trunk_sid,
            setup.trunk_domain,
            {"CREDENTIAL_LIST"},
        )
        (origin,) = world.trunks.origination_urls(trunk.sid)
        assert (origin.sip_url, origin.enabled) == (RETELL_SIP, True)
        assert (setup.former_voice_url, setup.attached, setup.imported) == (FORMER, True, True)
        profile = get_provider().fetch_number(OURS)
        assert profile.trunk_domain == trunk.domain
        assert profile.trunk_username == setup.username
        assert profile.inbound_agent_ids == ("agent_sandbox_lena",)
        assert profile.outbound_agent_ids == ("agent_sandbox_ava",)
        assert profile.inbound_webhook_url == "http://testserver/webhook/retell/inbound"
        assert profile.fallback_number == FALLBACK
        row = world.row(setup)
        assert (row.label, row.fallback_number, row.line) == ("Reception", FALLBACK, f"custom:{trunk.domain}")
        assert row.inbound_agent is not None
        assert row.inbound_agent.provider_agent_id == "agent_sandbox_lena"

    def test_the_password_is_the_same_on_both_sides_and_kept_nowhere_here(self, world: World) -> None:
        setup = world.until("import")
        at_twilio, at_retell = world.passwords(setup)
        assert at_twilio == at_retell
        with connection.cursor() as cursor:
            for model in (NumberSetup, NumberSetupStep, PhoneNumber):
                cursor.execute(f"SELECT * FROM {model._meta.db_table}")
                assert at_twilio not in str(cursor.fetchall())

    @pytest.mark.parametrize("step", ["sign_in", "import"])
    def test_repeating_either_step_changes_the_password_on_both_sides(self, world: World, step: str) -> None:
        setup = world.until("import")
        before = world.passwords(setup)[0]
        assert world.run(setup, step) == DONE
        at_twilio, at_retell = world.passwords(setup)
        assert at_twilio == at_retell != before

    def test_every_step_again_makes_nothing_twice(self, world: World) -> None:
        setup = world.until("import")
        before, ids = world.held(), ids_of(setup)
        for step in STEPS:
            assert world.run(setup, step) == DONE
        assert (world.held(), ids_of(setup)) == (before, ids)
        assert setup.former_voice_url == FORMER, "on the trunk it has none, which is not the former one"
        assert len(world.trunks.credentials(setup.list_sid)) == 1
        assert len(world.trunks.origination_urls(setup.trunk_sid)) == 1

    def test_a_step_comes_after_those_before_it(self, world: World) -> None:
        setup = world.begin()
        before = world.held()
        for step in STEPS[1:]:
            with pytest.raises(NotInTurn):
                world.run(setup, step)
        with pytest.raises(NotInTurn):
            world.proved(setup)
        assert world.held() == before

    def test_who_answers_who_calls_and_where_to_fall_back_to_are_needed(self, world: World) -> None:
        setup = world.until("attach")
        state, problem = world.run(setup, "import", fallback_number="")
        assert state == StepState.FAILED
        assert "who answers" in problem
        assert OURS not in world.held()["retell"]

    def test_two_people_do_not_work_at_one_number_at_once(self, world: World) -> None:
        setup = world.begin()
        NumberSetup.objects.update(busy_until=timezone.now() + timedelta(minutes=1))
        with pytest.raises(SomebodyIsAtIt):
            world.run(setup, "trunk")
        NumberSetup.objects.update(busy_until=timezone.now() - timedelta(seconds=1))
        assert world.run(setup, "trunk") == DONE
        assert NumberSetup.objects.get().busy_until is None


class TestWhatIsThereAlready:
    def test_a_second_number_shares_trunk_list_and_address_and_has_a_user_of_its_own(
        self, world: World
    ) -> None:
        one = world.until("import")
        other = world.until("import", SECOND)
        assert (other.trunk_sid, other.list_sid, other.origination_sid) == (
            one.trunk_sid,
            one.list_sid,
            one.origination_sid,
        )
        assert other.username != one.username
        assert len(world.trunks.credentials(one.list_sid)) == 2
        before = world.passwords(one)
        assert world.run(other, "sign_in") == DONE
        assert world.passwords(one) == before

    def test_a_trunk_of_the_account_is_used_when_it_is_named(self, world: World) -> None:
        trunk = world.trunks.create_trunk(label="Old", domain="old-one.pstn.twilio.com")
        setup = world.begin()
        assert world.run(setup, "trunk", trunk="old-one.pstn.twilio.com") == DONE
        assert (setup.trunk_sid, setup.trunk_made) == (trunk.sid, False)
        state, problem = world.run(setup, "trunk", trunk="nowhere.pstn.twilio.com")
        assert (state, "no trunk nowhere" in problem) == (StepState.FAILED, True)

    def test_a_trunk_whose_numbers_call_without_a_password_is_left_alone(self, world: World) -> None:
        setup = world.begin()
        state, problem = world.run(setup, "trunk", trunk="brightside.pstn.twilio.com")
        assert state == StepState.FAILED
        assert "+44 20 7946 0990" in problem
        assert "without a password" in problem

    def test_the_trunk_that_a_number_is_on_is_used_and_the_number_stays_on_it(self, world: World) -> None:
        trunk = world.trunks.create_trunk(label="Own", domain="own-one.pstn.twilio.com")
        world.trunks.attach_number(trunk.sid, world.number().sid)
        setup = world.until("import")
        assert (setup.trunk_sid, setup.attached) == (trunk.sid, False)
        for step in reversed(STEPS):
            world.back(setup, step)
        assert world.number().trunk_sid == trunk.sid

    def test_a_number_that_retell_has_is_changed_there_and_stays_there(self, world: World) -> None:
        import_by_hand(world)
        setup = world.until("import")
        assert setup.imported is False
        at_twilio, at_retell = world.passwords(setup)
        assert at_twilio == at_retell
        state, note = world.back(setup, "import") or ("", "")
        assert state == StepState.OPEN
        assert "stays there" in note
        assert OURS in world.held()["retell"]

    def test_an_address_of_its_own_that_was_changed_by_hand_is_put_right_again(self, world: World) -> None:
        setup = world.until("sign_in")
        world.trunks.change_origination_url(
            setup.trunk_sid, setup.origination_sid, sip_url="sip:elsewhere.example.com", enabled=False
        )
        assert world.run(setup, "sign_in") == DONE
        (origin,) = world.trunks.origination_urls(setup.trunk_sid)
        assert (origin.sip_url, origin.enabled) == (RETELL_SIP, True)


class TestUnclearAnswers:
    @pytest.mark.parametrize(
        ("step", "lost"),
        [
            ("trunk", "Trunks"),
            ("sign_in", "CredentialLists"),
            ("sign_in", "Credentials"),
            ("sign_in", "OriginationUrls"),
            ("attach", "PhoneNumbers"),
            ("import", "import-phone-number"),
        ],
    )
    def test_what_was_made_although_its_answer_was_lost_is_found_and_used(
        self, world: World, step: str, lost: str
    ) -> None:
        before = world.held()
        setup = world.begin()
        for each in STEPS:
            if each == step:
                world.sandbox.control("faults", make_500_after={"next": 1, "event": lost})
            assert world.run(setup, each) == DONE, each
        assert len(world.trunks.trunks()) == len(before["trunks"]) + 1
        assert len(world.trunks.credential_lists()) == len(before["lists"]) + 1
        assert len(world.trunks.credentials(setup.list_sid)) == 1
        assert len(world.trunks.origination_urls(setup.trunk_sid)) == 1
        assert (setup.trunk_made, setup.list_made, setup.origination_made) == (True, True, True)
        assert (setup.attached, setup.imported) == (True, True)
        at_twilio, at_retell = world.passwords(setup)
        assert at_twilio == at_retell
        assert number_setup.take_all_back(setup, by=world.person, now=timezone.now()) is None
        assert world.held() == before

    def test_while_it_cannot_be_looked_for_either_it_is_not_known_and_the_next_press_finds_it(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("agents.providers.http.BACKOFF_FIRST_S", 0.001)
        setup = world.begin()
        count = len(world.trunks.trunks())
        made: list[bool] = []
        create = type(world.trunks).create_trunk

        def then_away(trunks: Any, **fields: Any) -> Any:
            """It is made, the answer is lost, and from then on nobody answers."""
            world.sandbox.control(
                "faults", make_500_after={"next": 1, "event": "Trunks"}, read_500={"probability": 1}
            )
            made.append(True)
            return create(trunks, **fields)

        monkeypatch.setattr(type(world.trunks), "create_trunk", then_away)
        state, problem = world.run(setup, "trunk")
        assert (state, bool(problem), setup.trunk_sid) == (StepState.UNCLEAR, True, "")
        world.sandbox.control("faults", read_500=None, make_500_after=None)
        assert world.run(setup, "trunk") == DONE
        assert made == [True]
        assert len(world.trunks.trunks()) == count + 1
        assert setup.trunk_made

    def test_what_is_refused_for_good_is_not_ours_to_take_away(self, world: World) -> None:
        setup = world.until("attach")
        whom = world.whom()
        nobody = Agent.objects.create(name="Gone", provider="retell", provider_agent_id="agent_gone")
        state, problem = world.run(setup, "import", **{**whom, "inbound_agent": nobody})
        assert (state, setup.imported) == (StepState.FAILED, False)
        assert "agent_gone" in problem
        assert world.run(setup, "import") == DONE
        assert setup.imported


class TestTakingBack:
    def test_in_reverse_each_step_takes_away_what_it_made_and_the_voice_url_is_back(
        self, world: World
    ) -> None:
        world.twilio.change_number(
            world.number().sid, voice_url="https://menu.example.com/old", voice_method="GET"
        )
        before = world.held()
        setup = world.until("import")
        with pytest.raises(NotInTurn):
            world.back(setup, "trunk")
        for step in reversed(STEPS):
            assert world.back(setup, step) == (StepState.OPEN, ""), step
        assert world.held() == before
        assert world.row(setup).gone_since is not None
        assert world.back(setup, "number") is None
        assert not NumberSetup.objects.exists()

    def test_everything_at_once_and_then_from_the_beginning(self, world: World) -> None:
        before = world.held()
        setup = world.until("import")
        assert number_setup.take_all_back(setup, by=world.person, now=timezone.now()) is None
        assert world.held() == before
        again = world.until("import")
        row = world.row(again)
        assert (row.gone_since, row.held_back) == (None, True)

    def test_what_others_use_by_then_stays_until_the_last_of_them_goes(self, world: World) -> None:
        before = world.held()
        one = world.until("import")
        other = world.until("import", SECOND)
        assert number_setup.take_all_back(one, by=world.person, now=timezone.now()) is None
        assert world.run(other, "sign_in") == DONE
        assert len(world.trunks.credentials(other.list_sid)) == 1
        assert world.trunks.trunk(other.trunk_sid).auth == {"CREDENTIAL_LIST"}
        assert number_setup.take_all_back(other, by=world.person, now=timezone.now()) is None
        assert world.held() == before

    def test_a_trunk_that_a_number_was_put_on_by_hand_stays(self, world: World) -> None:
        setup = world.until("trunk")
        world.trunks.attach_number(setup.trunk_sid, world.number(SECOND).sid)
        domain = setup.trunk_domain
        state, note = world.back(setup, "trunk") or ("", "")
        assert (state, "it stays" in note) == (StepState.OPEN, True)
        assert domain in [each.domain for each in world.trunks.trunks()]

    def test_another_use_that_somebody_gave_the_number_meanwhile_stays(self, world: World) -> None:
        setup = world.until("attach")
        world.twilio.change_number(world.number().sid, voice_url="https://new.example.com/")
        state, note = world.back(setup, "attach") or ("", "")
        assert (state, "another use" in note) == (StepState.OPEN, True)
        assert world.number().voice_url == "https://new.example.com/"

    def test_what_was_taken_away_by_hand_does_not_stop_it(self, world: World) -> None:
        before = world.held()
        setup = world.until("import")
        get_provider().remove_number(OURS)
        world.trunks.detach_number(setup.trunk_sid, setup.number_sid)
        world.trunks.detach_list(setup.trunk_sid, setup.list_sid)
        world.trunks.delete_credential_list(setup.list_sid)
        world.trunks.delete_trunk(setup.trunk_sid)
        assert number_setup.take_all_back(setup, by=world.person, now=timezone.now()) is None
        assert world.held() == before

    def test_where_it_stops_is_said_and_the_rest_is_still_there(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("agents.providers.http.BACKOFF_FIRST_S", 0.001)
        setup = world.until("attach")
        world.sandbox.control("faults", answer_401={"next": 1})
        stopped = number_setup.take_all_back(setup, by=world.person, now=timezone.now())
        assert stopped is not None
        assert (stopped.step, stopped.state) == ("attach", StepState.FAILED)
        assert "could not be taken back" in stopped.problem
        assert world.number().trunk_sid == setup.trunk_sid
        assert number_setup.take_all_back(setup, by=world.person, now=timezone.now()) is None


class TestWhoItIsFor:
    def test_without_a_twilio_account_or_our_address_it_is_not_offered_and_says_why(
        self, settings: Any
    ) -> None:
        assert number_setup.why_not() == ""
        settings.PUBLIC_BASE_URL = ""
        assert "PUBLIC_BASE_URL" in number_setup.why_not()
        settings.TWILIO_AUTH_TOKENS = []
        assert "TWILIO_AUTH_TOKEN" in number_setup.why_not()
        settings.RETELL_CONTRACT = "article"
        assert "does not list" in number_setup.why_not()


def ids_of(setup: NumberSetup) -> tuple[str, ...]:
    return (setup.trunk_sid, setup.list_sid, setup.credential_sid, setup.origination_sid)


def import_by_hand(world: World) -> None:
    world.sandbox._http.post(
        "/import-phone-number",
        json={"phone_number": OURS, "termination_uri": "typo.pstn.twilio.com"},
        headers={"Authorization": f"Bearer {world.sandbox.api_key}"},
    ).raise_for_status()
