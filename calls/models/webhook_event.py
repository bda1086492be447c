from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class EventSource(models.TextChoices):
    WEBHOOK = "webhook", _("Told by the phone company")
    LOOKUP = "lookup", _("Looked up by us")


class EventState(models.TextChoices):
    PENDING = "pending", _("Not yet read")
    APPLIED = "applied", _("Read")
    WAITING = "waiting", _("Its call is not known yet")
    FOREIGN = "foreign", _("Of another use of this account")
    UNREADABLE = "unreadable", _("Cannot be read")
    FAILING = "failing", _("Failed, is tried again")
    INCIDENT = "incident", _("Our call under a second id")
    IGNORED = "ignored", _("Nothing to do")


class Speaking(models.TextChoices):
    AGENT = "agent", _("The AI agent speaks")
    PERSON = "person", _("The person speaks")


class WebhookEvent(models.Model):
    """The bytes, as they came. One row a fact, whether pushed to us or fetched by us.

    Everything a call's row says after placing can be derived again from these rows.
    """

    key = models.CharField(max_length=64)
    """Made of what was signed (`lifecycle.facts.event_key`): a repeat collides and changes nothing."""
    source = models.CharField(_("source"), max_length=10, choices=EventSource, default=EventSource.WEBHOOK)
    contract = models.CharField(max_length=30, default="current")
    provider = models.CharField(max_length=30, default="retell")
    body = models.BinaryField()
    signature = models.CharField(max_length=300, blank=True)
    received_at = models.DateTimeField(_("received"))
    name = models.CharField(_("event"), max_length=60, blank=True)
    provider_call_id = models.CharField(_("id at the phone company"), max_length=120, blank=True)
    call_uuid = models.UUIDField(null=True, blank=True)
    call = models.ForeignKey(
        "calls.Call",
        verbose_name=_("call"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="events",
        # `event_by_call` serves it.
        db_index=False,
    )
    state = models.CharField(_("state"), max_length=12, choices=EventState, default=EventState.PENDING)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try"))
    applied_at = models.DateTimeField(_("read"), null=True, blank=True)
    problem = models.TextField(_("problem"), blank=True)

    class Meta:
        verbose_name = _("stored event")
        verbose_name_plural = _("stored events")
        ordering = ["-received_at"]
        permissions = [("replay_event", _("May read events again"))]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=EventState.values), name="event_state_is_known"),
            models.CheckConstraint(condition=Q(source__in=EventSource.values), name="event_source_is_known"),
            # Not `unique=True`, which on PostgreSQL is two indexes.
            models.UniqueConstraint(fields=["key"], name="event_is_kept_once"),
        ]
        indexes = [
            # lifecycle.apply: what to read next.
            models.Index(
                fields=["next_try_at", "id"],
                condition=Q(state__in=["pending", "waiting", "failing"]),
                name="event_inbox",
            ),
            # lifecycle.apply: all facts of a call, and events that came before their call was known.
            models.Index(fields=["provider_call_id"], name="event_by_provider_call"),
            models.Index(fields=["call", "received_at"], name="event_by_call"),
            # The list, newest first, and lifecycle.reachability: what came lately.
            models.Index(fields=["-received_at"], name="event_newest"),
            # admin.events: the lists of what went wrong, and the counts on every page.
            models.Index(
                fields=["state", "-received_at"],
                condition=Q(state__in=["unreadable", "incident", "failing", "foreign"]),
                name="event_needs_a_look",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name or '?'} {self.provider_call_id}"


class LiveTranscript(models.Model):
    """What is being said right now: the newest kept per call, deleted after a day. Not a fact.

    `turns` as in `Transcript`; one that is still being said has `partial`, and `at_ms` says when, by the
    provider's clock.
    """

    provider_call_id = models.CharField(max_length=120, primary_key=True)
    call_uuid = models.UUIDField(null=True, blank=True, db_index=True)
    turns = models.JSONField(default=list)
    speaking = models.CharField(max_length=6, choices=Speaking, blank=True)
    agent_speaks = models.BooleanField(default=False)
    """Also while the person speaks over it."""
    utterance_id = models.CharField(max_length=120, blank=True)
    """What the agent is saying, or said last."""
    told_at = models.DateTimeField(null=True, blank=True)
    """When the newest of it happened, by the provider's clock."""
    received_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("live transcript")
        verbose_name_plural = _("live transcripts")

    def __str__(self) -> str:
        return self.provider_call_id


class SignatureRefusal(models.Model):
    """How many webhooks were refused, by minute and cause: no bytes of a stranger are kept."""

    minute = models.DateTimeField(_("minute"))
    cause = models.CharField(_("cause"), max_length=12)
    count = models.PositiveIntegerField(_("how many"), default=0)

    class Meta:
        verbose_name = _("refused webhooks")
        verbose_name_plural = _("refused webhooks")
        constraints = [
            models.UniqueConstraint(fields=["minute", "cause"], name="one_refusal_row_per_minute_and_cause")
        ]

    def __str__(self) -> str:
        return f"{self.minute:%H:%M} {self.cause}: {self.count}"
