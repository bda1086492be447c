"""What the carrier behind a trunk of our own takes for a minute: typed in here, and an estimate."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from agents.providers.lines import over_own_trunk
from calls.admin.formats import money
from calls.models import Call, CarrierRate, Direction


@admin.register(CarrierRate)
class CarrierRateAdmin(ModelAdmin):
    list_display = ["prefix", "per_minute", "currency", "updated_at"]
    search_fields = ["prefix"]
    when_empty = gettext_lazy(
        "What the carrier takes a minute, by the beginning of the number. With it the page of a call that "
        "Retell made over your own trunk has an estimate of the carrier's part."
    )
    fields = ["prefix", "per_minute", "currency"]


def carrier_estimate(call: Call) -> str:
    """Of a call that Retell made over a trunk of our own; '' where nothing can be said.

    What Retell tells is its own price: the carrier's is on the carrier's bill.
    """
    if call.desk_number or call.direction != Direction.OUTBOUND or not over_own_trunk(call.line):
        return ""
    if not call.answered_at or not call.duration_ms:
        return ""
    rate = CarrierRate.objects.of(call.counterpart)
    return money(rate.micros(call.duration_ms), rate.currency) if rate else ""
