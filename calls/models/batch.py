from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models import Agent, PhoneNumber


class BatchState(models.TextChoices):
    DRAFT = "draft", _("Not started")
    FILLING = "filling", _("Being queued")
    RUNNING = "running", _("Running")
    UNDONE = "undone", _("Undone")
    CANCELLED = "cancelled", _("Rest cancelled")
    DONE = "done", _("Done")


class CallBatch(models.Model):
    """One press of *Call* on several leads. The selection stays here, not in the browser."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("asked for by"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    selection = models.JSONField(_("selection"), default=dict)
    """{"ids": [lead ids]}: the selection as it was when the sheet was opened."""
    agent = models.ForeignKey(
        Agent, verbose_name=_("AI agent"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    caller_id = models.ForeignKey(
        PhoneNumber,
        verbose_name=_("caller ID"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    variables = models.JSONField(_("variables"), default=dict, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=BatchState, default=BatchState.DRAFT)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    undo_until = models.DateTimeField(null=True, blank=True)
    filled_to = models.PositiveIntegerField(default=0)
    """How many of the selection's ids have been dealt with: a killed filler goes on from here."""
    refused = models.JSONField(_("not called"), default=list, blank=True)
    """[{lead, code, text}] for those who were not queued."""

    counted_to = models.PositiveIntegerField(default=0)
    """How many of the selection's ids the sheet has been counted to."""
    counted = models.JSONField(default=dict, blank=True)
    """What the sheet of a large draft has found so far: dialer.counting."""
    cancel_reason = models.CharField(max_length=300, blank=True)
    """Not empty while calls of an undone or cancelled batch may still be waiting: a killed one goes on."""

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=BatchState.values), name="batch_state_is_known")
        ]
        indexes = [
            # dialer.fill: batches whose queueing is under way or was cut off.
            models.Index(fields=["started_at"], condition=Q(state="filling"), name="batch_filling"),
            # dialer.fill: batches whose waiting calls have not all been ended.
            models.Index(fields=["id"], condition=~Q(cancel_reason=""), name="batch_cancelling"),
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M}" if self.created_at else str(self.pk)

    @property
    def lead_ids(self) -> list[int]:
        return list(self.selection.get("ids", []))
