from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from calls.models.call import Call
from calls.models.call_words import Via


class CallRequest(models.Model):
    """Who asked for a call. A call adopted by a second request has two."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="requests")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    api_key = models.ForeignKey(
        "calls.ApiKey", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    via = models.CharField(_("how"), max_length=10, choices=Via)
    batch = models.ForeignKey(
        "calls.CallBatch", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    requested_at = models.DateTimeField(_("when"))
    adopted = models.BooleanField(default=False)
    """The call waited already, or somebody has taken it over since: its `requested_by` is another."""

    class Meta:
        verbose_name = _("request")
        verbose_name_plural = _("requests")
        ordering = ["requested_at"]
        constraints = [models.CheckConstraint(condition=Q(via__in=Via.values), name="request_via_is_known")]
        indexes = [
            # Row scope: the few calls that somebody asked for beside their own.
            models.Index(fields=["user"], condition=Q(adopted=True), name="request_adopted"),
        ]

    def __str__(self) -> str:
        return f"{self.get_via_display()}: {self.user or self.api_key or ''}"


class StepKind(models.TextChoices):
    SENT = "sent", _("Sent")
    LOOK = "look", _("Looked up")
    REPLAY = "replay", _("Sent again, under the same key")


class CallStep(models.Model):
    """One thing that was done to make, or to learn of, a call nobody is sure about.

    Kept only for calls whose answer was unclear; `found` None: no answer, or none that proves anything.
    """

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="steps")
    kind = models.CharField(_("what"), max_length=8, choices=StepKind)
    at = models.DateTimeField(_("when"))
    found = models.BooleanField(_("found"), null=True, blank=True)
    answer = models.CharField(_("answer"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("what was tried")
        verbose_name_plural = _("what was tried")
        ordering = ["at", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=StepKind.values), name="step_kind_is_known")
        ]
        indexes = [
            # The page of calls that need a look: everything tried, by call.
            models.Index(fields=["call", "at"], name="step_by_call"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.answer}"
