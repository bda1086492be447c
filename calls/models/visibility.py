"""Who sees which rows: the one home of row scope.

Staff with `calls.see_everyones` (managers, administrators) and API keys without an owner see everything.
Sales staff see what they own, what nobody owns, and what they asked for themselves. None is a person whose
account was deleted: of what they began only that goes on which touches nobody else's leads.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q

SEE_EVERYONES = "calls.see_everyones"


def sees_everything(user: Any) -> bool:
    if user is None:
        return False
    return bool(getattr(user, "sees_everything", False) or user.has_perm(SEE_EVERYONES))


def lead_scope(user: Any, *, prefix: str = "") -> Q:
    """The condition on leads; `prefix` ('lead__') carries it over to rows that point to one."""
    if sees_everything(user):
        return Q()
    nobodys = Q(**{f"{prefix}owner__isnull": True})
    return nobodys if user is None else nobodys | Q(**{f"{prefix}owner": user.pk})
