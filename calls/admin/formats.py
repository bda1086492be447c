"""How numbers are shown to people: counts, shares, time talked, money."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.utils.formats import number_format
from django.utils.translation import gettext as _

SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}
NOTHING = "–"


def count(number: int) -> str:
    return number_format(number, decimal_pos=0, force_grouping=True)


def percent(share: float | None) -> str:
    """0.478 as 47.8 %; a dash where there is no share."""
    if share is None:
        return NOTHING
    return f"{decimal(share * 100)} %"


def decimal(number: float) -> str:
    return number_format(number, decimal_pos=1, force_grouping=True)


def money(micros: int, currency: str) -> str:
    """Millionths of a currency: $4,304.80, or $0.0123 where two places would say nothing."""
    amount = Decimal(micros) / 1_000_000
    places = 4 if 0 < amount < Decimal("0.1") else 2
    shown = number_format(amount, decimal_pos=places, force_grouping=True)
    sign = SIGNS.get(currency)
    return f"{sign}{shown}" if sign else f"{shown} {currency}".strip()


def amounts(pairs: Iterable[tuple[str, int]]) -> str:
    """(currency, millionths), each currency on its own."""
    return " + ".join(money(micros, currency) for currency, micros in pairs) or NOTHING


def talk(ms: int) -> str:
    """12 h 34 min, 2 min 07 s, 40 s."""
    seconds = round(ms / 1000)
    if seconds >= 3600:
        return _("%(hours)s h %(minutes)02d min") % {
            "hours": count(seconds // 3600),
            "minutes": seconds % 3600 // 60,
        }
    if seconds >= 60:
        return _("%(minutes)d min %(seconds)02d s") % {"minutes": seconds // 60, "seconds": seconds % 60}
    return _("%(seconds)d s") % {"seconds": seconds}


def clock(seconds: float) -> str:
    """A running time: 0:07, 12:40, 1:02:30."""
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
