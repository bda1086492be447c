"""WHICH call goes out now? Asking, waiting, claiming, placing, and what was left unclear."""

from calls.dialer.ask import (
    Asked,
    BadRequest,
    NoCallerId,
    NotAllowed,
    OnThePhone,
    ask,
    call_now,
    caller_id_for,
    cancel,
    hang_up,
)
from calls.dialer.batches import cancel_rest, open_batch, progress, start_batch, undo_batch
from calls.dialer.gate import StopState, alive, resume, stop, stop_state
from calls.dialer.promises import drop_promise, promise
from calls.dialer.waiting import Waiting, queue_summary, waiting

__all__ = [
    "Asked",
    "BadRequest",
    "NoCallerId",
    "NotAllowed",
    "OnThePhone",
    "StopState",
    "Waiting",
    "alive",
    "ask",
    "call_now",
    "caller_id_for",
    "cancel",
    "cancel_rest",
    "drop_promise",
    "hang_up",
    "open_batch",
    "progress",
    "promise",
    "queue_summary",
    "resume",
    "start_batch",
    "stop",
    "stop_state",
    "undo_batch",
    "waiting",
]
