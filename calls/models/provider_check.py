from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from agents.readiness import Level


class ProviderCheckQuerySet(models.QuerySet["ProviderCheck"]):
    def failing(self) -> Self:
        """At two looks at least: a process that was just being started is not told of."""
        return self.filter(level=Level.RED, since__lt=F("checked_at"))


class ProviderCheck(models.Model):
    """What was found when it was last looked whether we and the phone company can work together."""

    code = models.CharField(max_length=20, primary_key=True)
    level = models.CharField(max_length=5, choices=Level)
    sentence = models.TextField(_("result"))
    what_to_do = models.TextField(_("what to do"), blank=True)
    checked_at = models.DateTimeField(_("looked at"))
    since = models.DateTimeField(_("since"))
    """When its level last changed."""

    objects = ProviderCheckQuerySet.as_manager()

    class Meta:
        verbose_name = _("check of the phone company")
        verbose_name_plural = _("checks of the phone company")
        constraints = [
            models.CheckConstraint(condition=Q(level__in=Level.values), name="provider_check_level_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.level}"

    @property
    def fails(self) -> bool:
        """As `failing`."""
        return self.level == Level.RED and self.since < self.checked_at
