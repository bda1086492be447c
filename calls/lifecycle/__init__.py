"""WHERE is this call? Facts are stored as bytes, folded by a pure function, and the row follows."""

from calls.lifecycle import reachability
from calls.lifecycle.apply import read_again
from calls.lifecycle.facts import store_webhook
from calls.lifecycle.inbound import answer_inbound
from calls.lifecycle.inbox import NotStored

__all__ = [
    "NotStored",
    "answer_inbound",
    "reachability",
    "read_again",
    "store_webhook",
]
