"""Menus: what somebody hears who rings a number that asks us, and which numbers those are."""

from calls.menus.calling import Heard, agents_number, enter, offers, press, unanswered
from calls.menus.routes import CannotPoint, address_of, look, point, undo, why_not_to_be_pointed

__all__ = [
    "CannotPoint",
    "Heard",
    "address_of",
    "agents_number",
    "enter",
    "look",
    "offers",
    "point",
    "press",
    "unanswered",
    "undo",
    "why_not_to_be_pointed",
]
