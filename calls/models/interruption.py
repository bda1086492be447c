from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from calls.models.call import Call
from calls.models.clock import ClockNow


class Interruption(models.Model):
    """The person began to speak while the AI agent spoke, and we told the agent to stop.

    The open row is the guard: in one turn the agent is told once, whichever process hears of it.
    """

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="interruptions")
    utterance_id = models.CharField(max_length=120)
    """What the agent was saying."""
    began_at = models.DateTimeField(_("began"))
    """When the person began, by the phone company's clock where it says so."""
    taken_at = models.DateTimeField(db_default=ClockNow(), editable=False)
    """By the database's clock: how long the guard holds goes by it."""
    sent_at = models.DateTimeField(null=True, blank=True)
    """When the phone company had answered; `problem` says what, where it did not take it."""
    problem = models.CharField(_("why the AI agent was not stopped"), max_length=300, blank=True)
    silence_ms = models.PositiveIntegerField(_("time to silence (ms)"), null=True, blank=True)
    """From `began_at` until the agent stopped talking, by the same clock. None: nobody said that it did."""
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("interruption")
        verbose_name_plural = _("interruptions")
        default_permissions = ()
        ordering = ["began_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["call"], condition=Q(released_at__isnull=True), name="one_cancellation_a_turn"
            ),
        ]
        indexes = [
            # A call's page, and what the agent's silence is of.
            models.Index(fields=["call", "began_at"], name="interruption_by_call"),
        ]

    def __str__(self) -> str:
        return f"{self.call_id} {self.utterance_id}"
