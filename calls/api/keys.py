"""API keys: made, found, revoked. The secret is shown once; only its SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils.translation import gettext as _

from calls.models import ApiKey
from calls.models.access import Scope

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MARK = "cc_"
"""So that a key in a log or a repository is recognised as one of ours."""
SHOWN = 12
LONGEST_NAME = 80
USE_IS_NOTED_EVERY = timedelta(minutes=1)


def make_key(
    name: str,
    scopes: Iterable[str],
    owner: User | None = None,
    by: User | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret. Raises ValueError: no name or a too long one, no scope or an unknown one."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME:
        raise ValueError(_("A key needs a name of 1 to %(most)d characters.") % {"most": LONGEST_NAME})
    wanted = list(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in Scope.values]
    if unknown or not wanted:
        raise ValueError(
            _("Scopes are %(known)s; given: %(given)s.")
            % {"known": ", ".join(Scope.values), "given": ", ".join(wanted) or _("none")}
        )
    secret = MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        name=name, prefix=secret[:SHOWN], digest=_digest(secret), scopes=wanted, owner=owner, created_by=by
    )
    return key, secret


def find_key(secret: str) -> ApiKey | None:
    """The key with this secret, revoked or not."""
    return ApiKey.objects.select_related("owner").filter(digest=_digest(secret)).first()


def revoke(key: ApiKey, *, now: datetime) -> None:
    """From the next request on the key is refused. Repeating it keeps the first moment."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now)


def note_use(key: ApiKey, *, now: datetime) -> None:
    """At most one write a minute, however many requests and processes."""
    before = now - USE_IS_NOTED_EVERY
    if key.last_used_at is None or key.last_used_at <= before:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=before)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
