"""What Twilio has, as frozen dataclasses, and how each is read from its JSON.

Twilio calls every telephone a call; two bridged telephones are two. Here such a one is a *leg*. Times are
aware; durations s; money in micro-units (1 USD = 1_000_000). Words of status are kept raw, because more come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any

OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""Statuses that a leg never leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """`kind` is Trial or Full, `status` active, suspended or closed. The token in the answer is not kept."""

    sid: str
    label: str
    status: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of the account. One with `trunk_sid` ignores its `voice_url` and `application_sid`."""

    sid: str
    number: str
    label: str
    voice: bool
    voice_url: str
    voice_method: str
    fallback_url: str
    status_callback: str
    trunk_sid: str
    application_sid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """`auth` empty: no calls out pass. `transfers`: disable-all, enable-all or sip-only. `disaster_url` is
    asked for TwiML where its origination URLs cannot be reached.
    """

    sid: str
    label: str
    domain: str
    auth: frozenset[str]
    secure: bool
    """Encrypted calls only."""
    transfers: str
    disaster_url: str

    @property
    def asks_password(self) -> bool:
        return "CREDENTIAL_LIST" in self.auth

    @property
    def asks_address(self) -> bool:
        """Whether a call comes from an address on its list; with a password asked too, both must fit."""
        return "IP_ACL" in self.auth

    @property
    def hands_on(self) -> bool:
        """Whether the AI agent may transfer a caller, to telephones too."""
        return self.transfers == "enable-all"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialList:
    sid: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The password can be set, never read."""

    sid: str
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginationUrl:
    """Where a trunk sends the calls that come in."""

    sid: str
    label: str
    sip_url: str
    weight: int
    priority: int
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    sid: str
    parent_sid: str
    to_number: str
    from_number: str
    status: str
    direction: str
    """inbound, outbound-api, outbound-dial, trunking-terminating or trunking-originating."""
    created_at: datetime | None
    started_at: datetime | None
    """When it was answered, for one that was."""
    ended_at: datetime | None
    duration_s: int | None
    cost_micros: int | None
    """None until Twilio has settled it; without detection of machines and spoken text."""
    currency: str
    answered_by: str
    waited_ms: int | None
    """In Twilio's own queue, because calls came faster than the account's pace."""
    trunk_sid: str

    @property
    def over(self) -> bool:
        return self.status in OVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Conference:
    """`status` is init, in-progress or completed."""

    sid: str
    name: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    leg_sid: str
    conference_sid: str
    label: str
    status: str
    muted: bool
    on_hold: bool
    coaches: str
    """The sid of the leg that alone hears this one; '' for everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """`status` is in-progress, paused, stopped, processing, completed, absent or failed."""

    sid: str
    leg_sid: str
    conference_sid: str
    status: str
    duration_s: int | None
    channels: int
    source: str
    started_at: datetime | None = None


Found = Mapping[str, Any]


def text(found: Found, name: str) -> str:
    value = found.get(name)
    return "" if value is None else str(value)


def whole(found: Found, name: str) -> int | None:
    """Numbers come as text."""
    try:
        return int(text(found, name))
    except ValueError:
        return None


def moment(found: Found, name: str) -> datetime | None:
    """RFC 2822 under /2010-04-01, ISO 8601 elsewhere."""
    value = text(found, name)
    try:
        read = parsedate_to_datetime(value)
    except ValueError:
        try:
            read = datetime.fromisoformat(value)
        except ValueError:
            return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def cost(found: Found) -> int | None:
    """Prices are negative: what was taken from the balance."""
    try:
        price = Decimal(text(found, "price"))
        return int(abs(price) * 1_000_000)
    except (InvalidOperation, ValueError, OverflowError):
        return None


def account_state(found: Found) -> AccountState:
    return AccountState(
        sid=text(found, "sid"),
        label=text(found, "friendly_name"),
        status=text(found, "status"),
        kind=text(found, "type"),
    )


def number(found: Found) -> Number:
    capabilities = found.get("capabilities")
    return Number(
        sid=text(found, "sid"),
        number=text(found, "phone_number"),
        label=text(found, "friendly_name"),
        voice=bool(capabilities.get("voice")) if isinstance(capabilities, dict) else True,
        voice_url=text(found, "voice_url"),
        voice_method=text(found, "voice_method") or "POST",
        fallback_url=text(found, "voice_fallback_url"),
        status_callback=text(found, "status_callback"),
        trunk_sid=text(found, "trunk_sid"),
        application_sid=text(found, "voice_application_sid"),
    )


def trunk(found: Found) -> Trunk:
    auth = found.get("auth_type_set")
    names = auth if isinstance(auth, list) else text(found, "auth_type").split(",")
    return Trunk(
        sid=text(found, "sid"),
        label=text(found, "friendly_name"),
        domain=text(found, "domain_name"),
        auth=frozenset(str(name).strip() for name in names if str(name).strip()),
        secure=found.get("secure") is True,
        transfers=text(found, "transfer_mode"),
        disaster_url=text(found, "disaster_recovery_url"),
    )


def credential_list(found: Found) -> CredentialList:
    return CredentialList(sid=text(found, "sid"), label=text(found, "friendly_name"))


def credential(found: Found) -> Credential:
    return Credential(sid=text(found, "sid"), username=text(found, "username"))


def origination_url(found: Found) -> OriginationUrl:
    return OriginationUrl(
        sid=text(found, "sid"),
        label=text(found, "friendly_name"),
        sip_url=text(found, "sip_url"),
        weight=whole(found, "weight") or 0,
        priority=whole(found, "priority") or 0,
        enabled=found.get("enabled") is True,
    )


def leg(found: Found) -> Leg:
    return Leg(
        sid=text(found, "sid"),
        parent_sid=text(found, "parent_call_sid"),
        to_number=text(found, "to"),
        from_number=text(found, "from"),
        status=text(found, "status"),
        direction=text(found, "direction"),
        created_at=moment(found, "date_created"),
        started_at=moment(found, "start_time"),
        ended_at=moment(found, "end_time"),
        duration_s=whole(found, "duration"),
        cost_micros=cost(found),
        currency=text(found, "price_unit"),
        answered_by=text(found, "answered_by"),
        waited_ms=whole(found, "queue_time"),
        trunk_sid=text(found, "trunk_sid"),
    )


def conference(found: Found) -> Conference:
    return Conference(sid=text(found, "sid"), name=text(found, "friendly_name"), status=text(found, "status"))


def participant(found: Found) -> Participant:
    return Participant(
        leg_sid=text(found, "call_sid"),
        conference_sid=text(found, "conference_sid"),
        label=text(found, "label"),
        status=text(found, "status"),
        muted=found.get("muted") is True,
        on_hold=found.get("hold") is True,
        coaches=text(found, "call_sid_to_coach") if found.get("coaching") is True else "",
    )


def recording(found: Found) -> Recording:
    return Recording(
        sid=text(found, "sid"),
        leg_sid=text(found, "call_sid"),
        conference_sid=text(found, "conference_sid"),
        status=text(found, "status"),
        duration_s=whole(found, "duration"),
        channels=whole(found, "channels") or 1,
        source=text(found, "source"),
        started_at=moment(found, "start_time"),
    )
