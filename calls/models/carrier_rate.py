from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

PREFIX = r"^\+[1-9][0-9]{0,7}$"
LONGEST_PREFIX = 9
CURRENCY = r"^[A-Z]{3}$"


class CarrierRateQuerySet(models.QuerySet["CarrierRate"]):
    def of(self, number: str) -> CarrierRate | None:
        """The one of the longest beginning of that number."""
        beginnings: Iterable[str] = (number[:length] for length in range(2, LONGEST_PREFIX + 1))
        return max(self.filter(prefix__in=beginnings), key=lambda rate: len(rate.prefix), default=None)


class CarrierRate(models.Model):
    """What a minute costs at the carrier behind a trunk of our own, as an administrator knows it."""

    prefix = models.CharField(
        _("numbers that begin with"),
        max_length=LONGEST_PREFIX,
        unique=True,
        validators=[RegexValidator(PREFIX, _("A plus and the first digits: +1, +4420."))],
        help_text=_("+1 for all of North America, +4420 for London; of several the longest counts."),
    )
    per_minute = models.DecimalField(
        _("price of a minute"),
        max_digits=9,
        decimal_places=5,
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("Begun minutes count whole."),
    )
    currency = models.CharField(
        _("currency"),
        max_length=3,
        default="USD",
        validators=[RegexValidator(CURRENCY, _("Three capital letters: USD."))],
    )
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = CarrierRateQuerySet.as_manager()

    class Meta:
        verbose_name = _("carrier's price")
        verbose_name_plural = _("carrier's prices")
        ordering = ["prefix"]
        constraints = [
            models.CheckConstraint(condition=Q(prefix__regex=PREFIX), name="carrier_rate_begins_a_number"),
            models.CheckConstraint(condition=Q(per_minute__gte=0), name="carrier_rate_is_a_price"),
            models.CheckConstraint(condition=Q(currency__regex=CURRENCY), name="carrier_rate_has_a_currency"),
        ]

    def __str__(self) -> str:
        return self.prefix

    def micros(self, duration_ms: int) -> int:
        """Of a talk so long, in millionths of `currency`."""
        minutes = -(-duration_ms // 60_000)
        return int(self.per_minute * minutes * 1_000_000)
