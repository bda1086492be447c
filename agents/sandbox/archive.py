"""Calls kept in a file, so that a sandbox started again still knows them and still plays them.

One line of JSON a call and stage; a later line of the same call replaces the earlier one. What was said is
kept as its recording's token, from which it is made again when somebody asks.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.sandbox.account import Account, NoSuchThing
from agents.sandbox.conversation import Conversation, converse
from agents.sandbox.people import Behaviour
from agents.sandbox.phone_call import PhoneCall, Stage
from agents.sandbox.voices import from_token, token

PLAIN = (
    "direction", "from_number", "to_number", "created_ms", "metadata", "given_variables", "variables",
    "contract", "storage", "attempt", "rang_ms", "answered_ms", "ended_ms", "reason", "analysed",
    "transfer_to",
)  # fmt: skip
"""Attributes of PhoneCall that are kept as they are."""


class Archive:
    """Thread-safe. Reads what others append to the file, too."""

    def __init__(self, path: Path, account: Account) -> None:
        self._path = path
        self._account = account
        self._lock = threading.Lock()
        self._lines: dict[str, str] = {}
        self._read_to = 0

    def keep(self, call: PhoneCall) -> None:
        """Write down how far the call is."""
        self.keep_all([call])

    def keep_all(self, calls: Iterable[PhoneCall]) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.writelines(as_line(call) for call in calls)

    def find(self, call_id: str) -> PhoneCall | None:
        """The call as it was written down last; None if it never was, or its agent is gone."""
        with self._lock:
            if call_id not in self._lines:
                self._catch_up()
            line = self._lines.get(call_id)
        return self._revived(line) if line is not None else None

    def unfinished(self) -> Iterator[PhoneCall]:
        """Calls whose end or analysis the file does not know: they were on when the sandbox was ended."""
        with self._lock:
            self._catch_up()
            lines = [line for line in self._lines.values() if not json.loads(line)["analysed"]]
        for line in lines:
            call = self._revived(line)
            if call is not None:
                yield call

    def _catch_up(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the rest is still being written
                self._read_to += len(line)
                text = line.decode()
                self._lines[json.loads(text)["id"]] = text

    def _revived(self, line: str) -> PhoneCall | None:
        found = json.loads(line)
        try:
            agent = self._account.agent(found["agent_id"], found["agent_version"])
        except NoSuchThing:
            return None
        plain = {name: found[name] for name in PLAIN if name in found}
        call = PhoneCall(id=found["id"], agent=agent, **plain)
        call.conversation = from_token(found["token"]) if found["token"] else nothing_said(call)
        call.stage = Stage.OVER if call.ended_ms is not None else Stage.RINGING
        if found["transfer_at_s"]:
            call.transfer_at_s = (found["transfer_at_s"][0], found["transfer_at_s"][1])
        return call


def as_line(call: PhoneCall) -> str:
    said = call.conversation if call.connected and call.over else None
    kept = {
        "id": call.id,
        "agent_id": call.agent["agent_id"],
        "agent_version": call.agent["version"],
        **{name: getattr(call, name) for name in PLAIN},
        "transfer_at_s": call.transfer_at_s,
        "token": token(said) if said is not None else "",
    }
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")) + "\n"


def nothing_said(call: PhoneCall) -> Conversation:
    """The conversation of a call that nobody picked up."""
    silence = Behaviour(
        kind="",
        script=None,
        disconnection_reason=call.reason,
        rings_s=0.0,
        connects=False,
        rings_back_after_s=None,
    )
    variables: Mapping[str, Any] = call.variables
    began = datetime.fromtimestamp(call.created_ms / 1000, UTC)
    return converse(silence, variables=variables, now=began, local_tz=None, seed=0)
