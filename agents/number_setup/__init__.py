"""A number of the Twilio account becomes one of ours: six steps, each repeatable and each taken back.

What is made carries the set-up's mark in its name, and is looked for by it first: so a step that is pressed
again, or whose answer was lost, makes nothing twice. What was there before is used and left as it is.
"""

from agents.number_completion import missing
from agents.number_setup.beginning import Candidate, begin, candidates, why_not
from agents.number_setup.ends import SetupProblem
from agents.number_setup.steps import Given
from agents.number_setup.working import (
    NotInTurn,
    SomebodyIsAtIt,
    last_begun,
    may_run,
    prove,
    run_step,
    take_all_back,
    take_back,
)

__all__ = [
    "Candidate",
    "Given",
    "NotInTurn",
    "SetupProblem",
    "SomebodyIsAtIt",
    "begin",
    "candidates",
    "last_begun",
    "may_run",
    "missing",
    "prove",
    "run_step",
    "take_all_back",
    "take_back",
    "why_not",
]
