"""WHICH call goes out now? Asking, waiting, claiming, placing, and what was left unclear."""

from calls.dialer import caps, counting, ramp
from calls.dialer.account import AccountState, Room, account_fine, account_state, room_now
from calls.dialer.adopt import begin_after_restore, catching_up
from calls.dialer.ask import (
    Asked,
    BadOverride,
    BadRequest,
    CallingStopped,
    NoCallerId,
    NotAllowed,
    OnThePhone,
    OwnPhoneBusy,
    ask,
    call_now,
    caller_id_for,
    cancel,
    hang_up,
    lead_variables,
    why_not_from_a_telephone,
    why_not_ours,
)
from calls.dialer.batches import cancel_rest, open_batch, progress, start_batch, undo_batch
from calls.dialer.breaker import lines_said
from calls.dialer.connect import LetThrough, let_through
from calls.dialer.counting import Tally
from calls.dialer.gate import SILENT_AFTER, alive, beat
from calls.dialer.initiate import Full, NoAgent, NotNow, Wanted, initiate
from calls.dialer.judge import NothingToDecide, judge
from calls.dialer.promises import drop_promise, promise
from calls.dialer.stops import (
    Left,
    StopState,
    Target,
    hang_up_left,
    in_force,
    left,
    resume,
    stop,
    stop_state,
)
from calls.dialer.waiting import WAITS_FOR, Desk, Waiting, look, queue_summary, waiting, waiting_for

__all__ = [
    "SILENT_AFTER",
    "WAITS_FOR",
    "AccountState",
    "Asked",
    "BadOverride",
    "BadRequest",
    "CallingStopped",
    "Desk",
    "Full",
    "Left",
    "LetThrough",
    "NoAgent",
    "NoCallerId",
    "NotAllowed",
    "NotNow",
    "NothingToDecide",
    "OnThePhone",
    "OwnPhoneBusy",
    "Room",
    "StopState",
    "Tally",
    "Target",
    "Waiting",
    "Wanted",
    "account_fine",
    "account_state",
    "alive",
    "ask",
    "beat",
    "begin_after_restore",
    "call_now",
    "caller_id_for",
    "cancel",
    "cancel_rest",
    "caps",
    "catching_up",
    "counting",
    "drop_promise",
    "hang_up",
    "hang_up_left",
    "in_force",
    "initiate",
    "judge",
    "lead_variables",
    "left",
    "let_through",
    "lines_said",
    "look",
    "open_batch",
    "progress",
    "promise",
    "queue_summary",
    "ramp",
    "resume",
    "room_now",
    "start_batch",
    "stop",
    "stop_state",
    "undo_batch",
    "waiting",
    "waiting_for",
    "why_not_from_a_telephone",
    "why_not_ours",
]
