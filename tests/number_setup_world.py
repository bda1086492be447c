"""A Twilio account and a Retell account on the sandbox, and a new number on its way from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from twilio_wire import OURS

from agents import number_setup, sync
from agents.models import Agent, NumberSetup, PhoneNumber, StepState
from agents.number_setup import Given
from agents.providers.registry import get_provider
from agents.providers.twilio.resources import Number
from agents.providers.twilio.rest import Twilio
from agents.providers.twilio.trunk import Trunking
from agents.sandbox.server import Sandbox

FALLBACK = "+14155550123"
FORMER = "https://demo.twilio.com/welcome/voice/"
SECOND = "+12125550181"
LONDON = "+442079460990"
"""On a trunk from the start, with another one, and without a password."""


@dataclass
class World:
    sandbox: Sandbox
    person: User

    @cached_property
    def twilio(self) -> Twilio:
        return Twilio.from_settings()

    def close(self) -> None:
        self.twilio.close()

    @property
    def trunks(self) -> Trunking:
        return Trunking(self.twilio)

    def number(self, e164: str = OURS) -> Number:
        (found,) = self.twilio.numbers(e164)
        return found

    def begin(self, e164: str = OURS, *, label: str = "Reception") -> NumberSetup:
        return number_setup.begin(self.number(e164).sid, label=label, by=self.person, now=timezone.now())

    def run(self, setup: NumberSetup, step: str, **given: Any) -> tuple[str, str]:
        """State and problem of the step after it was done."""
        if step == "import" and not given:
            given = self.whom()
        row = number_setup.run_step(setup, step, Given(**given), by=self.person, now=timezone.now())
        setup.refresh_from_db()
        return row.state, row.problem

    def whom(self) -> dict[str, Any]:
        """Who answers, who calls, and who is rung otherwise."""
        if not Agent.objects.exists():
            for profile in get_provider().list_agents():
                Agent.objects.create(
                    name=profile.name, provider="retell", provider_agent_id=profile.provider_agent_id
                )
        return {
            "inbound_agent": Agent.objects.get(provider_agent_id="agent_sandbox_lena"),
            "outbound_agent": Agent.objects.get(provider_agent_id="agent_sandbox_ava"),
            "fallback_number": FALLBACK,
        }

    def until(self, last: str, e164: str = OURS) -> NumberSetup:
        """All steps up to this one, each done at the first try."""
        setup = self.begin(e164)
        for step in ("trunk", "sign_in", "attach", "import"):
            assert self.run(setup, step) == (StepState.DONE, ""), step
            if step == last:
                break
        return setup

    def back(self, setup: NumberSetup, step: str) -> tuple[str, str] | None:
        row = number_setup.take_back(setup, step, by=self.person, now=timezone.now())
        return None if row is None else (row.state, row.problem)

    def proved(self, setup: NumberSetup) -> str:
        now = timezone.now()
        return number_setup.prove(setup, out_at=now, in_at=now, by=self.person, now=now).state

    def row(self, setup: NumberSetup) -> PhoneNumber:
        return PhoneNumber.objects.get(number=setup.number)

    def held(self) -> dict[str, Any]:
        """All that Twilio holds beside its numbers, by the mark-free part that tells it apart."""
        trunks = self.trunks
        return {
            "trunks": sorted(each.sid for each in trunks.trunks()),
            "lists": sorted(each.sid for each in trunks.credential_lists()),
            "numbers": sorted(
                (each.number, each.voice_url, each.voice_method, each.trunk_sid)
                for each in self.twilio.numbers()
            ),
            "retell": sorted(each.number for each in get_provider().list_numbers()),
        }

    def sync(self) -> None:
        sync.sync(get_provider(), now=timezone.now())

    def passwords(self, setup: NumberSetup) -> tuple[str, str]:
        """What Twilio and what Retell now have, read past their doors."""
        holdings = self.sandbox.twilio.holdings
        at_twilio = holdings.credentials[setup.list_sid][setup.credential_sid]["password"]
        at_retell = self.sandbox.account.number(setup.number)["sip_outbound_trunk_config"]["auth_password"]
        return at_twilio, at_retell
