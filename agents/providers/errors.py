"""What can go wrong with a provider, by what it means for the telephone.

    ProviderError
    |- NotSent       nothing of the request left this machine: the telephone cannot ring
    |- Busy          a definite "not now"; the same call may be asked for again later
    |- Refused       a definite "no"; `scope` says whether for this call or for the whole account
    |- Unclear       anything else after the first byte: the telephone may be ringing
    |- NotFound      a look-up answered that there is no such thing
    |- NotOffered    this contract has no such thing; nothing was asked
BadSignature is a SuspiciousOperation: Django answers it with 400, our webhook door with 401.
"""

from __future__ import annotations

import enum

from django.core.exceptions import SuspiciousOperation

from agents.providers.abilities import WHY_NOT, Ability


class ProviderError(Exception):
    """A provider did not do what was asked. `message` is fit to show to staff."""

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        body: bytes = b"",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.http_status = http_status
        self.body = body
        self.retry_after_s = retry_after_s


class NotSent(ProviderError):
    """Could not connect, or given up before the first byte."""


class Busy(ProviderError):
    """Rate or capacity limit: a definite not-now."""


class RefusalScope(enum.Enum):
    CALL = "call"
    """This number, this variable, this request: other calls may pass."""
    AGENT = "agent"
    """The agent may not call: others may."""
    NUMBER = "number"
    """The caller ID may not call, or not there: others may."""
    ACCOUNT = "account"
    """Key or credit: no call will pass until a person acts."""


class Refused(ProviderError):
    """A definite no."""

    def __init__(
        self,
        message: str,
        *,
        scope: RefusalScope = RefusalScope.CALL,
        code: str = "refused",
        http_status: int | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(message, http_status=http_status, body=body)
        self.scope = scope
        self.code = code
        """invalid_number, geography, not_allowed, billing, authentication or refused."""


class Unclear(ProviderError):
    """Something left this machine and no clear answer came back."""


class NotFound(ProviderError):
    """The provider has no such call, agent or number under this key."""


class NotOffered(ProviderError):
    """The contract in force cannot do it. `message` says why, in staff's words."""

    def __init__(self, ability: Ability, message: str = "") -> None:
        super().__init__(message or str(WHY_NOT[ability]))
        self.ability = ability


class BadSignature(SuspiciousOperation):
    """A webhook's signature does not hold. `cause_code`: missing, malformed, stale or wrong."""

    def __init__(self, message: str, *, cause_code: str) -> None:
        super().__init__(message)
        self.cause_code = cause_code


class Unreadable(ValueError):
    """A signed body that cannot be read: kept, answered 200, listed."""
