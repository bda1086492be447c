from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Func, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents import phone
from agents.models import E164_PATTERN, Agent, e164_field
from calls.call_id import new_call_id
from calls.models.call_words import (
    ACTIVE,
    OPEN,
    AnsweredBy,
    CallStatus,
    Direction,
    Disposition,
    Judgement,
    Outcome,
    Priority,
    Sentiment,
)
from calls.models.clock import ClockNow
from calls.models.comparison import SEEN_AT
from calls.models.together import update_each
from calls.models.visibility import lead_scope

UNDECIDED = Q(status=CallStatus.ENDED, outcome=Outcome.UNKNOWN, disposition="") & Q(judged="")
INCIDENT = ~Q(incident="") & Q(judged="")
NEEDS_A_LOOK = (
    UNDECIDED
    | Q(disposition=Disposition.REVIEW)
    | Q(disposition="", proposed_disposition=Disposition.REVIEW)
    | INCIDENT
)
"""Calls that wait for a person: `stats.definitions` says of each what for."""

DASHBOARD_READS = (
    "direction", "status", "outcome", "answered_by", "agent", "lead", "requested_by", "placed_at",
    "duration_ms", "cost_micros", "currency", "disposition", "proposed_disposition", "local_hour",
    "local_weekday", "test", "fault", "id",
)  # fmt: skip
"""Every column that a figure, the heat map or row scope asks for: all of it stands in one index."""


class CallQuerySet(models.QuerySet["Call"]):
    """Whoever writes a call writes `updated_at`: Django's two ways of updating rows end here, and ours."""

    def update(self, **columns: Any) -> int:
        return super().update(**{"updated_at": ClockNow(), **columns})

    def _update(self, values: Any, *args: Any) -> Any:
        """What `save()` ends in, by way of `base_manager_name`."""
        changed = self.model._meta.get_field("updated_at")
        rest = [each for each in values if each[0] is not changed]
        return super()._update([*rest, (changed, None, ClockNow())], *args)  # type: ignore[misc]

    def update_each(self, calls: Sequence[Call], columns: Collection[str]) -> None:
        """Write these columns of each call as they are set on it, in one statement. They are locked."""
        update_each(calls, columns, moments=["updated_at"])

    def visible_to(self, user: Any) -> Self:
        """Calls of leads the user sees, calls of nobody known, and calls the user asked for."""
        scope = lead_scope(user, prefix="lead__")
        if not scope:
            return self
        return self.filter(scope | Q(lead__isnull=True) | self._asked_for(user))

    def asked_for_by(self, user: Any) -> Self:
        return self.filter(self._asked_for(user))

    def _asked_for(self, user: Any) -> Q:
        """Also what was waiting already when the user asked for it."""
        adopted = self.model.objects.filter(requests__user=user.pk, requests__adopted=True)
        return Q(requested_by=user.pk) | Q(pk__in=adopted.order_by().values("pk"))

    def open(self) -> Self:
        """Not yet ended."""
        return self.filter(status__in=OPEN)

    def active(self) -> Self:
        """Past the queue and not ended: what `/health` counts."""
        return self.filter(status__in=ACTIVE)

    def holding_slot(self, now: datetime) -> Self:
        """What counts against capacity."""
        return self.filter(slot_until__gt=now)

    def due(self, now: datetime | Func) -> Self:
        return self.filter(status=CallStatus.QUEUED, due_at__lte=now, look_first=False)

    def outbound(self) -> Self:
        return self.filter(direction=Direction.OUTBOUND)

    def inbound(self) -> Self:
        return self.filter(direction=Direction.INBOUND)


class Call(models.Model):
    """One attempt, out or in: the queue, the state machine, the audit trail and the statistic.

    Times are aware UTC; durations ms; money micro-units of `currency`. Written by `calls.dialer`
    (until a provider has it) and `calls.lifecycle` (the only writer of status after that).
    """

    id = models.UUIDField(primary_key=True, default=new_call_id, editable=False)
    direction = models.CharField(_("direction"), max_length=10, choices=Direction, default=Direction.OUTBOUND)
    lead = models.ForeignKey(
        "calls.Lead",
        verbose_name=_("lead"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="calls",
        db_index=False,  # an index below begins with it
    )
    agent = models.ForeignKey(
        Agent, verbose_name=_("AI agent"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    counterpart = e164_field(verbose_name=_("their number"), blank=True)
    """Empty only of a call in whose caller withholds it."""
    our_number = e164_field(verbose_name=_("our number"), blank=True)
    number_given = models.BooleanField(default=True)
    """False: the rule chose our number, and another may take its place (`calls.dialer.ramp`)."""
    line = models.CharField(_("line"), max_length=60, default="default")
    desk_number = e164_field(verbose_name=_("the caller's own telephone"), blank=True)
    """Only of a call that a person makes, without AI: it is rung first."""

    # Asked for
    batch = models.ForeignKey(
        "calls.CallBatch",
        verbose_name=_("batch"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="calls",
        db_index=False,  # an index below begins with it
    )
    priority = models.PositiveSmallIntegerField(_("order"), choices=Priority, default=Priority.CLICK)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("asked for by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,  # an index below begins with it
    )
    requested_at = models.DateTimeField(_("asked for"))
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    not_after = models.DateTimeField(_("not after"), null=True, blank=True)
    decision = models.JSONField(_("why it was allowed"), default=dict, blank=True)
    attempt = models.PositiveIntegerField(_("attempt"), default=1)
    variables = models.JSONField(_("variables"), default=dict, blank=True)
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    overrides = models.JSONField(_("different from the AI agent"), default=dict, blank=True)
    """By the names of `agents.overriding`: for this call alone."""
    test = models.BooleanField(_("test call"), default=False)

    # Claimed and sent (calls.dialer)
    status = models.CharField(_("status"), max_length=12, choices=CallStatus, default=CallStatus.QUEUED)
    claimed_at = models.DateTimeField(null=True, blank=True)
    place_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    request_body = models.BinaryField(null=True, blank=True)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    replayed_at = models.DateTimeField(null=True, blank=True)
    replay_wanted = models.BooleanField(default=False)
    """The last look answered "not there", or cannot be answered: the same request may go out again."""
    look_first = models.BooleanField(default=False)
    """The rows were restored: it may have been placed since, and is looked up before it is claimed."""
    slot_until = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(_("cancelling since"), null=True, blank=True)
    cancel_reason = models.CharField(_("why cancelled"), max_length=300, blank=True)
    hang_up_at = models.DateTimeField(null=True, blank=True)
    not_now_count = models.PositiveIntegerField(default=0)
    not_now_reason = models.CharField(_("last not-now"), max_length=300, blank=True)
    next_look_at = models.DateTimeField(null=True, blank=True)
    looks = models.PositiveIntegerField(default=0)
    looks_unanswered = models.PositiveIntegerField(default=0)
    refusal = models.CharField(_("what the phone company said"), max_length=500, blank=True)
    refusal_code = models.CharField(max_length=40, blank=True)

    # Told (calls.lifecycle)
    provider = models.CharField(max_length=30, default="retell")
    provider_call_id = models.CharField(_("id at the phone company"), max_length=120, blank=True)
    provider_status = models.CharField(max_length=40, blank=True)
    disconnection_reason = models.CharField(
        _("reason, as the phone company says it"), max_length=80, blank=True
    )
    placed_at = models.DateTimeField(_("placed"), null=True, blank=True)
    let_through_at = models.DateTimeField(_("let through"), null=True, blank=True)
    """When whoever makes the call asked at the telephone to be connected, and nothing spoke against it."""
    ringing_at = models.DateTimeField(_("ringing since"), null=True, blank=True)
    """Their telephone; only where the provider tells."""
    desk_ended_at = models.DateTimeField(_("our own telephone was put down"), null=True, blank=True)
    answered_at = models.DateTimeField(_("picked up"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    analysed_at = models.DateTimeField(null=True, blank=True)
    duration_ms = models.BigIntegerField(_("talk time (ms)"), null=True, blank=True)
    outcome = models.CharField(_("how it ended"), max_length=16, choices=Outcome, blank=True)
    outcome_evidence = models.CharField(_("how we know"), max_length=200, blank=True)
    answered_by = models.CharField(_("who picked up"), max_length=10, choices=AnsweredBy, blank=True)
    retry_class = models.CharField(max_length=10, blank=True)
    fault = models.CharField(max_length=10, blank=True)
    """A `Fault` of the provider interface: ended so, and not picked up, it has cost no attempt."""
    cost_micros = models.BigIntegerField(_("cost (millionths)"), null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    sentiment = models.CharField(_("sentiment"), max_length=10, choices=Sentiment, blank=True)
    summary = models.TextField(_("summary"), blank=True)
    successful = models.BooleanField(_("goal reached"), null=True, blank=True)
    in_voicemail = models.BooleanField(_("reached voicemail"), null=True, blank=True)
    analysis = models.JSONField(_("analysis"), default=dict, blank=True)
    recording_url = models.URLField(max_length=2000, blank=True)
    further_recordings = models.JSONField(_("where its later parts are"), default=list, blank=True)
    attestation = models.CharField(_("attestation (A, B or C)"), max_length=1, blank=True)
    transfer_to = models.CharField(_("transferred to"), max_length=120, blank=True)
    final = models.BooleanField(_("nothing more to come"), default=False)
    incident = models.CharField(_("incident"), max_length=300, blank=True)
    judged = models.CharField(_("what a person says"), max_length=10, choices=Judgement, blank=True)
    judged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    judged_at = models.DateTimeField(null=True, blank=True)

    # Means something (calls.dispositions)
    proposed_disposition = models.CharField(
        _("what the analysis says it meant"), max_length=16, choices=Disposition, blank=True
    )
    disposition = models.CharField(_("what it meant"), max_length=16, choices=Disposition, blank=True)
    disposition_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("said by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    disposition_at = models.DateTimeField(null=True, blank=True)
    promise = models.CharField(_("what was promised"), max_length=300, blank=True)

    # When it was for the person called, stored when placed (or when they rang)
    local_hour = models.PositiveSmallIntegerField(_("hour there"), null=True, blank=True)
    local_weekday = models.PositiveSmallIntegerField(_("weekday there"), null=True, blank=True)
    updated_at = models.DateTimeField(db_default=ClockNow(), editable=False)
    """When the row was last written, by the database's clock; no writer has to think of it."""

    objects = CallQuerySet.as_manager()

    class Meta:
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        base_manager_name = "objects"
        permissions = [
            ("place_call", _("May place calls")),
            ("hang_up_call", _("May hang up calls")),
            ("steer_call", _("May speak to the AI agent of a call that is on")),
            ("stop_calling", _("May stop all calling")),
            ("resume_calling", _("May resume calling")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["counterpart"],
                condition=Q(direction="outbound") & ~Q(status="ended"),
                name="one_open_outbound_call_per_number",
            ),
            # In this order it serves every look-up by the phone company's id, too.
            models.UniqueConstraint(
                fields=["provider_call_id", "provider"],
                condition=~Q(provider_call_id=""),
                name="one_row_per_provider_call",
            ),
            models.CheckConstraint(
                condition=Q(counterpart__regex=E164_PATTERN) | Q(counterpart="", direction="inbound"),
                name="counterpart_is_e164_or_withheld",
            ),
            models.CheckConstraint(
                condition=Q(our_number="") | Q(our_number__regex=E164_PATTERN), name="call_our_number_is_e164"
            ),
            models.CheckConstraint(
                condition=Q(desk_number="") | Q(desk_number__regex=E164_PATTERN, direction="outbound"),
                name="call_desk_number_is_e164",
            ),
            models.CheckConstraint(
                condition=Q(desk_number="") | Q(agent__isnull=True), name="a_person_or_an_agent_calls"
            ),
            # Whose unclear placement a leg is could not be told otherwise, nor could one person take two.
            models.UniqueConstraint(
                fields=["desk_number"],
                condition=~Q(desk_number="") & ~Q(status="ended"),
                name="one_open_call_per_desk_number",
            ),
            models.CheckConstraint(condition=Q(status__in=CallStatus.values), name="call_status_is_known"),
            models.CheckConstraint(
                condition=Q(direction__in=Direction.values), name="call_direction_is_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome="") | Q(outcome__in=Outcome.values), name="call_outcome_is_known"
            ),
            models.CheckConstraint(
                condition=(Q(status="ended") & ~Q(outcome="")) | (~Q(status="ended") & Q(outcome="")),
                name="call_has_an_outcome_exactly_when_ended",
            ),
            models.CheckConstraint(
                condition=Q(answered_by="") | Q(answered_by__in=AnsweredBy.values),
                name="answered_by_is_known",
            ),
            models.CheckConstraint(
                condition=Q(disposition="") | Q(disposition__in=Disposition.values),
                name="disposition_is_known",
            ),
            models.CheckConstraint(
                condition=Q(proposed_disposition="") | Q(proposed_disposition__in=Disposition.values),
                name="proposed_disposition_is_known",
            ),
            models.CheckConstraint(
                condition=Q(sentiment="") | Q(sentiment__in=Sentiment.values), name="sentiment_is_known"
            ),
            models.CheckConstraint(
                condition=Q(duration_ms__isnull=True) | Q(duration_ms__gte=0),
                name="call_duration_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(cost_micros__isnull=True) | Q(cost_micros__gte=0),
                name="call_cost_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(direction="inbound") | Q(due_at__isnull=False),
                name="outbound_call_has_a_due_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="dialing") | Q(place_token__isnull=False, lease_until__isnull=False),
                name="dialing_call_has_a_token_and_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(judged="") | Q(judged__in=Judgement.values), name="judgement_is_known"
            ),
            models.CheckConstraint(
                condition=Q(local_hour__isnull=True) | Q(local_hour__lte=23), name="local_hour_is_an_hour"
            ),
        ]
        indexes = [
            # dialer.claim: the next due call of a line.
            models.Index(
                fields=["line", "priority", "due_at"], condition=Q(status="queued"), name="call_queue"
            ),
            # dialer.claim and dialer.watch: whether anything is due, however much waits for tomorrow.
            models.Index(fields=["due_at"], condition=Q(status="queued"), name="call_due"),
            # dialer.claim: round-robin between people.
            models.Index(fields=["requested_by", "-claimed_at"], name="call_turns"),
            # dialer.claim: capacity, also by agent.
            models.Index(
                fields=["slot_until", "agent"], condition=Q(slot_until__isnull=False), name="call_slots"
            ),
            # dialer.settle and lifecycle.reconcile: whose next look is due.
            models.Index(
                fields=["next_look_at"], condition=Q(next_look_at__isnull=False), name="call_looks_due"
            ),
            # dialer.replay: what may be sent again, by line.
            models.Index(fields=["line"], condition=Q(replay_wanted=True), name="call_replays"),
            # dialer.adopt: what is looked up before it is claimed.
            models.Index(
                fields=["priority", "due_at"], condition=Q(look_first=True), name="call_looks_first"
            ),
            # dialer.settle: leases that ran out.
            models.Index(fields=["lease_until"], condition=Q(status="dialing"), name="call_leases"),
            # The hang-up thread: cancelled while being placed.
            models.Index(
                fields=["cancel_requested_at"],
                condition=Q(cancel_requested_at__isnull=False) & ~Q(status="ended"),
                name="call_cancelling",
            ),
            # dialer.breaker: how the calls of the last minutes ended; dialer.caps: what was spent today.
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="call_ended"),
            # admin.now, every five seconds: calls that were never made.
            models.Index(fields=["ended_at"], condition=Q(outcome="expired"), name="call_expired"),
            # dialer.caps: how many were sent today.
            models.Index(fields=["sent_at"], condition=Q(sent_at__isnull=False), name="call_sent"),
            # A person's history, and who rings back.
            models.Index(fields=["counterpart", "-requested_at"], name="call_by_counterpart"),
            models.Index(fields=["lead", "-requested_at"], name="call_by_lead"),
            models.Index(fields=["batch", "status"], condition=Q(batch__isnull=False), name="call_by_batch"),
            # REST `updated_after`: what changed since a poll, a short end of the index.
            models.Index(fields=["updated_at"], name="call_changed"),
            # REST `to_number`, calls in. The list, newest first, goes by `call_dashboard`.
            models.Index(
                fields=["our_number", "-requested_at"],
                condition=Q(direction="inbound"),
                name="call_in_by_number",
            ),
            models.Index(fields=["status", "-requested_at"], name="call_by_status"),
            # stats.panels: one pass over a range of days without touching the wide row.
            # `tests/bench/dashboard.py` measures it.
            models.Index(
                fields=["requested_at"],
                include=DASHBOARD_READS,
                name="call_dashboard",
            ),
            # lifecycle.compare: calls of some hours that the provider knows, in their order.
            models.Index(SEEN_AT, "id", condition=~Q(provider_call_id=""), name="call_compared"),
            # stats.needs_a_look, by exactly this condition.
            models.Index(fields=["requested_at"], condition=NEEDS_A_LOOK, name="call_needs_a_look"),
        ]

    def __str__(self) -> str:
        return f"{self.get_direction_display()} {self.counterpart or _('Withheld number')}"

    @property
    def counterpart_shown(self) -> str:
        """Their number as people read it, or that it was withheld."""
        return phone.pretty(self.counterpart) if self.counterpart else gettext("Withheld number")

    @property
    def to_number(self) -> str:
        return self.counterpart if self.direction == Direction.OUTBOUND else self.our_number

    @property
    def from_number(self) -> str:
        return self.our_number if self.direction == Direction.OUTBOUND else self.counterpart

    @property
    def rung_first(self) -> str:
        """The telephone that a placement rings."""
        return self.desk_number or self.to_number

    @property
    def made_by(self) -> str:
        """Who speaks for us: the AI agent, or the person who calls without one; '' when nobody knows."""
        if self.desk_number:
            who = self.requested_by
            return gettext("%(who)s, without AI") % {
                "who": (who.get_full_name() or who) if who else gettext("Staff")
            }
        return self.agent.name if self.agent else ""

    @property
    def meaning(self) -> str:
        """A person's word, else what the analysis proposes."""
        return self.disposition or self.proposed_disposition
