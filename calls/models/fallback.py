from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from agents.models import WhenRefused
from calls.models.call import Call
from calls.models.callback import CallBack


class FallbackState(models.TextChoices):
    DUE = "due", _("About to be done")
    DONE = "done", _("Done")
    LEFT = "left", _("Left undone")


class Fallback(models.Model):
    """What is done instead of a call that was definitely not made.

    Written where the call is ended, in the same transaction; carried out by a dialer (`dialer.fallback`).
    """

    call = models.OneToOneField(Call, primary_key=True, on_delete=models.CASCADE, related_name="fallback")
    """The key, so that a call never has two."""
    wanted = models.CharField(_("what was wanted"), max_length=10, choices=WhenRefused)
    why = models.CharField(_("why it was not made"), max_length=300)
    state = models.CharField(_("state"), max_length=4, choices=FallbackState, default=FallbackState.DUE)
    made = models.ForeignKey(
        Call,
        verbose_name=_("call made instead"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="made_instead_of",
    )
    task = models.OneToOneField(
        CallBack,
        verbose_name=_("task"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    note = models.CharField(_("why not as wanted"), max_length=300, blank=True)
    decided_at = models.DateTimeField(_("decided"))
    done_at = models.DateTimeField(_("done"), null=True, blank=True)

    class Meta:
        verbose_name = _("fallback")
        verbose_name_plural = _("fallbacks")
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(wanted__in=[WhenRefused.TASK, WhenRefused.DESK]), name="fallback_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=FallbackState.values), name="fallback_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(made__isnull=True) | ~Q(made=F("call")), name="fallback_is_another_call"
            ),
            models.CheckConstraint(
                condition=Q(made__isnull=True) | Q(task__isnull=True), name="one_fallback_and_no_more"
            ),
        ]
        indexes = [
            # dialer.fallback: what is to be done.
            models.Index(fields=["decided_at"], condition=Q(state="due"), name="fallback_due"),
        ]

    def __str__(self) -> str:
        return f"{self.get_wanted_display()}: {self.why}"
