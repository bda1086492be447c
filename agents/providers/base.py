"""What a telephone provider is to the rest of the product.

Everything that crosses this line is a frozen dataclass; no provider's field name does. What goes wrong is in
`errors`, and handed on from here.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from agents.providers.abilities import Ability
from agents.providers.endings import AnsweredBy as AnsweredBy
from agents.providers.endings import Ending as Ending
from agents.providers.endings import Fault as Fault
from agents.providers.endings import Outcome as Outcome
from agents.providers.endings import RetryClass as RetryClass
from agents.providers.errors import BadSignature as BadSignature
from agents.providers.errors import Busy as Busy
from agents.providers.errors import NotFound as NotFound
from agents.providers.errors import NotOffered as NotOffered
from agents.providers.errors import NotSent as NotSent
from agents.providers.errors import ProviderError as ProviderError
from agents.providers.errors import RefusalScope as RefusalScope
from agents.providers.errors import Refused as Refused
from agents.providers.errors import Unclear as Unclear
from agents.providers.errors import Unreadable as Unreadable
from agents.providers.listening import Denoising
from agents.providers.overrides import Overriding

if TYPE_CHECKING:
    from agents.providers.drafts import AgentDraft
    from agents.providers.live import LiveEvent
    from agents.providers.numbers import NumberOrder


class Stage(enum.IntEnum):
    """How far a fact says the call was. Higher wins in `lifecycle.derive`."""

    KNOWN = 1
    RINGING = 2
    CONNECTED = 3
    ENDED = 4
    ANALYSED = 5


class Word(NamedTuple):
    """A tuple, because there are so many: a dataclass takes three times as long to make."""

    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One thing said. `role` is agent, user, transfer_target, or tool for what the agent did."""

    role: str
    content: str
    start_s: float | None = None
    end_s: float | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """One provider's account of one call at one moment. Absent is None and never overwrites.

    Times are aware; durations ms; money integer micro-units (1 USD = 1_000_000) of `currency`.
    """

    provider_call_id: str
    stage: Stage
    call_uuid: str | None = None
    """Our id, when the provider carries it in its metadata."""
    direction: str | None = None
    """outbound or inbound."""
    to_number: str | None = None
    from_number: str | None = None
    provider_agent_id: str | None = None
    agent_version: str | None = None
    started_at: datetime | None = None
    """When somebody or something picked up."""
    ended_at: datetime | None = None
    duration_ms: int | None = None
    live_status: str | None = None
    """The provider's own word for where the call is, kept raw."""
    disconnection_reason: str | None = None
    ending: Ending | None = None
    turns: tuple[Turn, ...] | None = None
    transcript: str | None = None
    recording_url: str | None = None
    cost_micros: int | None = None
    currency: str | None = None
    summary: str | None = None
    sentiment: str | None = None
    """positive, neutral, negative or unknown."""
    successful: bool | None = None
    in_voicemail: bool | None = None
    analysis: Mapping[str, Any] | None = None
    """The customer's own analysis fields, as configured on the agent."""
    further_recordings: tuple[str, ...] | None = None
    """Of the same call, in time, where it was recorded in parts; `recording_url` is the first."""
    transfer_to: str | None = None
    ringing_at: datetime | None = None
    """When their telephone began to ring, where the provider tells."""
    desk_ended_at: datetime | None = None
    """When our own telephone, rung first, was put down; theirs may go on with a colleague."""
    attestation: str | None = None
    """A, B or C (STIR/SHAKEN): how far the carrier vouched for our number, where it says so."""
    strength: int = 2
    """Of facts of one stage the stronger counts: 2 says it of the person's telephone, 1 only that it could
    not be rung, 0 of our own, which was rung first."""
    undated: bool = False
    """Pushed without saying when it happened: then when it reached us is the best there is."""


class EventKind(enum.StrEnum):
    FACT = "fact"
    """started, ended, analysed, transfers: folded by `lifecycle.derive`."""
    LIVE = "live"
    """Transcript so far, speech started: not a fact; newest kept for a day."""
    OTHER = "other"
    """Signed and readable, but nothing to do with a telephone call of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """One webhook, read. Raises nothing: unreadable bodies raise `Unreadable` from `read_event`."""

    name: str
    """The provider's word, shown to administrators."""
    kind: EventKind
    facts: CallFacts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundAsk:
    """The provider asks who is calling and what to say."""

    from_number: str
    to_number: str
    provider_call_id: str | None
    provider_agent_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundReply:
    """What we answer. All empty: the number's own agent takes the call."""

    provider_agent_id: str | None = None
    agent_version: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """All that a placement says. Becomes `Call.request_body` once and for ever.

    `provider_agent_id` or `draft`, never both: an agent made before, or one for this call alone; with
    `overrides`, `draft` is the agent as it was made, for a contract where a call brings all of it.
    """

    call_uuid: str
    to_number: str
    from_number: str
    provider_agent_id: str
    agent_version: str | None
    variables: Mapping[str, str]
    metadata: Mapping[str, Any]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    draft: AgentDraft | None = None
    desk_number: str = ""
    """Our own telephone to be rung first, for a call that a person makes; then there is no agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A 2xx. `provider_call_id` is '' when the body could not be read: still accepted, look it up."""

    provider_call_id: str
    body: bytes
    status: str = ""
    """The provider's own word for where the call is, where the answer has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One call as fetched: the exact bytes (stored as a fact) and their reading."""

    body: bytes
    facts: CallFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    in_use: int
    limit: int
    reserved_inbound: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    account_id: str
    name: str
    key_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisField:
    name: str
    kind: str
    """text, number, boolean or selector."""
    description: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentProfile:
    """An agent as the provider has it: what the catalogue and the readiness card need."""

    provider_agent_id: str
    name: str
    version: int | None
    published: bool | None
    newest_version: int | None
    """Highest published version, where the provider tells."""
    language: str
    voice: str
    opening_line: str | None
    """None: the model writes it; '': waits for the person."""
    prompt: str
    default_variables: Mapping[str, str]
    variables_used: frozenset[str]
    """Every {{name}} in prompt and opening line, without the provider's own system variables."""
    webhook_url: str | None
    """None: the account's URL is used. Set: it silently replaces the account's."""
    events: frozenset[str]
    """The provider's event names that will be sent."""
    missing_events: frozenset[str]
    """Those of the needed ones that will not be sent."""
    analysis_fields: tuple[AnalysisField, ...]
    detects_do_not_call: bool
    voicemail_action: str
    """'' when voicemail is not detected."""
    screening_answer: bool
    ring_time_ms: int | None
    max_call_ms: int | None
    signed_recordings: bool
    suspended: bool
    engine_id: str | None
    """The LLM or flow behind it, '' when hosted elsewhere."""
    editable: frozenset[str]
    """Which of these `fix_agent` can change."""
    interruption_sensitivity: float = 1.0
    responsiveness: float = 1.0
    denoising: str = Denoising.NOISE


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberProfile:
    number: str
    label: str
    line: str
    """What shares one pace: the provider's telephony account behind the number."""
    inbound_agent_ids: tuple[str, ...]
    outbound_agent_ids: tuple[str, ...]
    inbound_webhook_url: str | None
    country: str = ""
    fallback_number: str = ""
    """Rung when the provider has no room for a call that comes in."""
    trunk_domain: str = ""
    """Where its calls go out, for one that came over a trunk of ours; '' for one bought there."""
    trunk_username: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of calls. `next_key` None: that was the last."""

    reports: tuple[Report, ...]
    next_key: str | None


class Provider(ABC):
    """One account at one provider under one contract. Thread-safe; holds one HTTP client."""

    name: ClassVar[str] = "retell"
    """As in the `provider` columns."""
    contract: ClassVar[str]
    idempotent: ClassVar[bool]
    """Whether the same placement may be sent again without a second ring."""
    signature_header: ClassVar[str]
    stops_replays: ClassVar[bool]
    """Whether a signature that somebody recorded is worthless soon after."""
    abilities: ClassVar[frozenset[Ability]]
    overridable: ClassVar[Overriding]

    @property
    def clock_ahead(self) -> timedelta | None:
        """How far the provider's clock is ahead of ours, by its newest answer; None before there was one."""
        return None

    def recording_headers(self) -> Mapping[str, str]:
        """What a recording's own address demands; never to be sent to another host."""
        return {}

    @abstractmethod
    def placement(self, order: PlaceOrder) -> bytes:
        """The bytes that placing and every replay send."""

    @abstractmethod
    def place(self, body: bytes, *, give_up_s: float, started: float) -> Accepted:
        """POST once, never retried.

        `started` is `time.monotonic()` before the send permit; past `started + give_up_s` just before
        the first byte the POST is not made (NotSent), and after it a watchdog closes the connection
        (Unclear). Raises NotSent, Busy, Refused, Unclear.
        """

    @abstractmethod
    def fetch_call(self, provider_call_id: str) -> Report:
        """Raises NotFound, Busy, Refused, NotSent or Unclear."""

    @abstractmethod
    def find_call(self, call_uuid: str, *, to_number: str, since: datetime) -> list[Report]:
        """Every call that carries our id; else by number and time. Empty: answered "not there"."""

    @abstractmethod
    def fetch_calls(self, provider_call_ids: Sequence[str]) -> list[Report]:
        """Up to 100 calls in one request; what lists leave out (transcripts) is absent, not empty."""

    @abstractmethod
    def recent_calls(
        self, *, since: datetime, until: datetime | None = None, key: str | None = None
    ) -> Page: ...

    @abstractmethod
    def hang_up(self, provider_call_id: str) -> None: ...

    def move_theirs(self, provider_call_id: str, *, call_uuid: str, keys: str = "") -> None:
        """Of a call that one of us makes, while they are on the line: their telephone leaves whatever it is
        in and asks us what it shall hear from now on, after `keys` (0-9 * # w) were pressed towards it.

        Raises NotFound when they are gone, Busy, Refused, NotSent or Unclear; keys are never sent twice.
        """
        raise NotOffered(Ability.MOVE)

    def move_colleague(self, leg_id: str, *, call_uuid: str) -> None:
        """As `move_theirs`, of the telephone of a colleague who has taken the call."""
        raise NotOffered(Ability.MOVE)

    @abstractmethod
    def steer(
        self,
        provider_call_id: str,
        *,
        context: str = "",
        answer_now: bool = False,
        variables: Mapping[str, str | None] | None = None,
    ) -> None: ...

    @abstractmethod
    def stop_utterance(self, provider_call_id: str, utterance_id: str) -> None:
        """The agent stops saying that, and listens. Worthless when late: given up after two seconds."""

    @abstractmethod
    def list_agents(self) -> list[AgentProfile]: ...

    @abstractmethod
    def fetch_agent(self, provider_agent_id: str, version: int | None = None) -> AgentProfile: ...

    @abstractmethod
    def fix_agent(self, provider_agent_id: str, changes: Mapping[str, Any]) -> AgentProfile:
        """Change what the readiness card found; keys are names of `AgentProfile`."""

    @abstractmethod
    def create_agent(self, draft: AgentDraft) -> str:
        """The provider's id of the agent made: to be kept, and used for every call."""

    @abstractmethod
    def list_numbers(self) -> list[NumberProfile]: ...

    @abstractmethod
    def fetch_number(self, number: str) -> NumberProfile:
        """Raises NotFound."""

    @abstractmethod
    def set_inbound_webhook(self, number: str, url: str) -> NumberProfile: ...

    @abstractmethod
    def import_number(self, order: NumberOrder) -> NumberProfile:
        """Sent once: after an unclear answer fetch it. The number to fall back to is for `change_number`."""

    @abstractmethod
    def change_number(self, order: NumberOrder) -> NumberProfile:
        """All that the order says; twice is as once."""

    @abstractmethod
    def remove_number(self, number: str) -> None:
        """Raises NotFound, also when a repeat finds that the first request had done it."""

    @abstractmethod
    def capacity(self) -> Capacity: ...

    @abstractmethod
    def account(self) -> Account:
        """The credentials check. Raises Refused(scope=ACCOUNT) on a definite 401 or 403."""

    @abstractmethod
    def verify(self, body: bytes, signature: str | None, *, now: datetime) -> bytes:
        """The bytes that were signed, by which a repeat is known. Raises BadSignature with the cause."""

    @abstractmethod
    def read_event(self, body: bytes) -> ProviderEvent:
        """Raises Unreadable."""

    @abstractmethod
    def read_live(self, body: bytes) -> LiveEvent | None:
        """What happens right now, if that is what the body tells; cheap for every other body."""

    @abstractmethod
    def read_call(self, body: bytes) -> CallFacts:
        """Read a stored look-up again. Raises Unreadable."""

    @abstractmethod
    def read_inbound(self, body: bytes) -> InboundAsk:
        """Raises Unreadable."""

    @abstractmethod
    def inbound_answer(self, reply: InboundReply) -> Mapping[str, Any]:
        """The JSON object to answer with."""

    @abstractmethod
    def close(self) -> None: ...
