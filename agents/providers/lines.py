"""What a line's name says: numbers on one line share one pace, and one carrier's bill."""

from __future__ import annotations

OWN_TRUNK = "custom"
"""The kind of a number that its owner brought over a SIP trunk of their own."""


def line_name(kind: str, trunk: str) -> str:
    """`kind` as the provider says it; a trunk of one's own is a line by itself."""
    return f"{kind}:{trunk}" if kind == OWN_TRUNK and trunk else kind


def over_own_trunk(line: str) -> bool:
    """Whether the carrier's part of a call is billed apart from the provider's."""
    return line.partition(":")[0] == OWN_TRUNK
