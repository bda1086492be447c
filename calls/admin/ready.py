"""The readiness card in short, as the sheets before a call show it for the agent chosen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agents import readiness
from agents.models import Agent
from agents.readiness import Check, Level
from calls.admin.agents import heard

FILLED_IN_HERE = "variables"
"""The red that the sheet's own fields mend: they ask for what nobody else supplies."""


@dataclass(frozen=True, slots=True)
class ReadyCard:
    agent: Agent
    light: Level
    lines: list[Check]
    """Red and yellow, worst first."""
    fine: list[Check]

    @property
    def stops(self) -> list[Check]:
        """The reds for which this sheet must not call."""
        return [line for line in self.lines if line.level == Level.RED and line.code != FILLED_IN_HERE]

    @property
    def fill_in(self) -> bool:
        return any(line.level == Level.RED and line.code == FILLED_IN_HERE for line in self.lines)


def ready_card(agent: Agent | None, *, supplied: Collection[str]) -> ReadyCard | None:
    """`supplied`: names of the variables that this call brings along. None without an agent."""
    if agent is None:
        return None
    told = Agent.objects.filter(pk=agent.pk).filter(heard()).exists()
    checks = readiness.checks_of(agent, heard=told, also_supplied=supplied)
    return ReadyCard(
        agent=agent,
        light=readiness.light(checks),
        lines=[check for check in checks if check.level != Level.GREEN],
        fine=[check for check in checks if check.level == Level.GREEN],
    )
