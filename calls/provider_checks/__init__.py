"""Can we and the phone company work together? Each thing that keeps calls or their news from passing."""

from calls.provider_checks.keeping import failing, keep, look_and_keep, seconds_to_next_look
from calls.provider_checks.looking import ORDER, TITLES, look
from calls.provider_checks.of_number import NUMBER_TITLES, look_at_number
from calls.provider_checks.reach import ECHO, echo

__all__ = [
    "ECHO",
    "NUMBER_TITLES",
    "ORDER",
    "TITLES",
    "echo",
    "failing",
    "keep",
    "look",
    "look_and_keep",
    "look_at_number",
    "seconds_to_next_look",
]
