from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models import E164_PATTERN, e164_field


class DoNotCallSource(models.TextChoices):
    CALL = "call", _("Said on a call")
    STAFF = "staff", _("Staff")
    API = "api", _("Other system")
    IMPORT = "import", _("Import")


class DoNotCallQuerySet(models.QuerySet["DoNotCall"]):
    def in_force(self) -> Self:
        return self.filter(lifted_at__isnull=True)

    def numbers_among(self, numbers: Iterable[str]) -> set[str]:
        return set(self.in_force().filter(number__in=list(numbers)).values_list("number", flat=True))


class DoNotCall(models.Model):
    """One event: somebody asked, by number, never to be called again.

    Written once. No later event, import, merge or disposition removes it; only a person lifts it, by
    name and with a reason, and the row stays.
    """

    number = e164_field(verbose_name=_("number"))
    reason = models.CharField(_("reason"), max_length=300)
    source = models.CharField(_("source"), max_length=10, choices=DoNotCallSource)
    lead = models.ForeignKey(
        "calls.Lead",
        verbose_name=_("lead"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    call = models.ForeignKey(
        "calls.Call",
        verbose_name=_("call"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("entered by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    created_at = models.DateTimeField(_("since"))
    lifted_at = models.DateTimeField(_("lifted"), null=True, blank=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("lifted by"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    lifted_reason = models.CharField(_("why lifted"), max_length=300, blank=True)

    objects = DoNotCallQuerySet.as_manager()

    class Meta:
        verbose_name = _("do-not-call entry")
        verbose_name_plural = _("do not call")
        ordering = ["-created_at"]
        permissions = [("lift_donotcall", _("May lift a do-not-call entry"))]
        constraints = [
            models.CheckConstraint(
                condition=Q(number__regex=E164_PATTERN), name="do_not_call_number_is_e164"
            ),
            models.CheckConstraint(
                condition=Q(source__in=DoNotCallSource.values), name="do_not_call_source_is_known"
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True) | (Q(lifted_by__isnull=False) & ~Q(lifted_reason="")),
                name="do_not_call_is_lifted_by_a_person_with_a_reason",
            ),
            # The same call says it once, however often its analysis arrives.
            models.UniqueConstraint(
                fields=["call"], condition=Q(call__isnull=False), name="one_opt_out_per_call"
            ),
        ]
        indexes = [
            # Every permit and every decision asks this.
            models.Index(fields=["number"], condition=Q(lifted_at__isnull=True), name="do_not_call_in_force"),
        ]

    def __str__(self) -> str:
        return self.number
