from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models import PhoneNumber


class RampPlan(models.TextChoices):
    OFF = "off", _("No limit of its own")
    USUAL = "usual", _("The usual steps")
    OWN = "own", _("Steps of its own")


class NumberRampQuerySet(models.QuerySet["NumberRamp"]):
    def running(self) -> Self:
        return self.filter(over=False).exclude(plan=RampPlan.OFF)


class NumberRamp(models.Model):
    """How many calls a day a new number of ours may make in its first weeks (`calls.dialer.ramp`).

    The counts are written under the lock of the gate of kind `capacity`, as each claim is.
    """

    number = models.OneToOneField(
        PhoneNumber, verbose_name=_("phone number"), on_delete=models.CASCADE, related_name="+"
    )
    plan = models.CharField(_("how many calls a day"), max_length=8, choices=RampPlan)
    own_steps = models.JSONField(default=list, blank=True)
    """[[days, calls a day], ...], of a plan of its own."""
    day_one = models.DateField(_("first day"), null=True, blank=True)
    """In the company's time; None: the day of its next call."""
    over = models.BooleanField(_("through"), default=False)
    """Past its last day: no longer looked at by claims."""
    day = models.DateField(null=True, blank=True)
    day_calls = models.PositiveIntegerField(default=0)
    """Claimed in that day: never less than were sent."""
    counted_at = models.DateTimeField(null=True, blank=True)

    objects = NumberRampQuerySet.as_manager()

    class Meta:
        verbose_name = _("first weeks of a number")
        verbose_name_plural = _("first weeks of numbers")
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(plan__in=RampPlan.values), name="ramp_plan_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.get_plan_display()}"
