"""Ids of calls: unique without asking anybody, and one after the other."""

from __future__ import annotations

import secrets
import time
import uuid

CHANCE_BITS = 74


def new_call_id() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562, 5.7): the millisecond it was made, then 74 bits of chance.

    What is keyed by a call (its events, its transcript) is written side by side, however many there are. With
    random ids each row is a page of its own of every such index: read, and logged whole after a checkpoint.
    """
    chance = secrets.randbits(CHANCE_BITS)
    millisecond = time.time_ns() // 1_000_000
    return uuid.UUID(
        int=millisecond << 80 | 0x7 << 76 | chance >> 62 << 64 | 0b10 << 62 | chance & (1 << 62) - 1
    )


def made_at_ms(call_id: uuid.UUID) -> int | None:
    """When it was made (ms since 1970); None of an id that does not tell."""
    return call_id.int >> 80 if call_id.version == 7 else None
