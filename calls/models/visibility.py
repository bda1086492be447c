"""Who sees which rows: the one home of row scope.

Staff with `calls.see_everyones` (managers, administrators) and API keys without an owner see everything.
Sales staff see what they own, what nobody owns, and what they asked for themselves.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q

SEE_EVERYONES = "calls.see_everyones"


def sees_everything(user: Any) -> bool:
    return bool(getattr(user, "sees_everything", False) or user.has_perm(SEE_EVERYONES))


def lead_scope(user: Any, *, prefix: str = "") -> Q:
    """The condition on leads; `prefix` ('lead__') carries it over to rows that point to one."""
    if sees_everything(user):
        return Q()
    return Q(**{f"{prefix}owner": user.pk}) | Q(**{f"{prefix}owner__isnull": True})
