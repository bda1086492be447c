from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models import PhoneNumber


class StandingItem(models.TextChoices):
    BUSINESS_PROFILE = "business_profile", _("Business profile")
    ATTESTATION = "attestation", _("Attestation product (SHAKEN/STIR)")
    ASSIGNMENT = "assignment", _("This number in the attestation product")
    CALLER_NAME = "caller_name", _("Caller name (CNAM)")
    CARRIERS = "carriers", _("Registration with the carriers")


class StandingState(models.TextChoices):
    DONE = "done", _("Done")
    NOT_NEEDED = "not_needed", _("Not needed for this number")


class NumberStanding(models.Model):
    """What was done elsewhere for the good name of a number of ours, as somebody here noted it."""

    number = models.ForeignKey(
        PhoneNumber,
        verbose_name=_("phone number"),
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,  # a constraint below begins with it
    )
    item = models.CharField(_("what"), max_length=20, choices=StandingItem)
    state = models.CharField(_("state"), max_length=10, choices=StandingState)
    done_on = models.DateField(_("done on"), null=True, blank=True)
    reference = models.CharField(_("reference"), max_length=120, blank=True)
    note = models.CharField(_("note"), max_length=300, blank=True)
    noted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    noted_at = models.DateTimeField(_("noted"))

    class Meta:
        verbose_name = _("standing of a number")
        verbose_name_plural = _("standing of numbers")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["number", "item"], name="one_row_per_number_and_item"),
            models.CheckConstraint(condition=Q(item__in=StandingItem.values), name="standing_item_is_known"),
            models.CheckConstraint(
                condition=Q(state="done", done_on__isnull=False)
                | Q(state="not_needed", done_on__isnull=True),
                name="standing_has_a_date_exactly_when_done",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_item_display()}: {self.get_state_display()}"
