from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CapKind(models.TextChoices):
    CALLS = "calls", _("Calls out")
    MINUTES = "minutes", _("Minutes talked")
    MONEY = "money", _("Money spent")


class DailyCap(models.Model):
    """What the account may spend in one day of the company. Without a row: the setting, or no limit."""

    kind = models.CharField(_("what"), max_length=8, choices=CapKind, unique=True)
    most = models.PositiveBigIntegerField(_("at most"), null=True, blank=True)
    """Calls, minutes, or millionths of the currency; None: no limit."""

    class Meta:
        verbose_name = _("daily limit")
        verbose_name_plural = _("daily limits")
        default_permissions = ("change",)
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=CapKind.values), name="cap_kind_is_known"),
            models.CheckConstraint(condition=Q(most__isnull=True) | Q(most__gte=1), name="cap_lets_one_pass"),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()


class CapChange(models.Model):
    """Who changed a limit, when, from what, to what. Never changed or deleted."""

    kind = models.CharField(_("what"), max_length=8, choices=CapKind)
    before = models.PositiveBigIntegerField(null=True, blank=True)
    after = models.PositiveBigIntegerField(null=True, blank=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("change of a daily limit")
        verbose_name_plural = _("changes of daily limits")
        ordering = ["-changed_at"]
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=CapKind.values), name="cap_change_kind_is_known"),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()
