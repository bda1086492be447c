"""May a number of ours be given up? Whoever is given it next gets the calls of those who ring back.

`why_not_release` is the rule, for every door that gives a number back, takes it off a trunk for good, or
deletes its row; `use_of` is what it is asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.models import PhoneNumber
from calls.models import Call

RING_BACK = timedelta(days=30)
"""How long people who were called are expected to ring back."""


class StillInUse(ValueError):
    """The number is known to people out there, or calls from it are not over; the text says which."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a number was used for. `called`: how many different numbers it called within RING_BACK."""

    last_out: datetime | None = None
    last_in: datetime | None = None
    called: int = 0
    not_over: int = 0
    """Calls out from it that wait or are on."""

    @property
    def last(self) -> datetime | None:
        """The last call, out or in."""
        return max(filter(None, [self.last_out, self.last_in]), default=None)


def use_of(number: str, *, now: datetime) -> Use:
    """`number` in E.164, whether it has a row of ours or not."""
    out = Call.objects.outbound().filter(our_number=number, sent_at__isnull=False, refusal_code="")
    rang = Call.objects.inbound().filter(our_number=number)
    lately = out.filter(sent_at__gte=now - RING_BACK).order_by()
    return Use(
        last_out=out.order_by("-sent_at").values_list("sent_at", flat=True).first(),
        last_in=rang.order_by("-requested_at").values_list("requested_at", flat=True).first(),
        called=lately.values("counterpart").distinct().count(),
        not_over=Call.objects.outbound().open().filter(our_number=number).count(),
    )


def why_not_release(use: Use, *, now: datetime) -> str:
    """Why it should not be given up now, in sentences; '' when nothing speaks against it."""
    if use.last is None or now - use.last >= RING_BACK:
        return ""
    called = ngettext(
        "%(count)d number was called from it in the last %(days)d days.",
        "%(count)d different numbers were called from it in the last %(days)d days.",
        use.called,
    )
    said = [
        _("Its last call was on %(when)s.") % {"when": date_format(localtime(use.last), "j M Y")},
        called % {"count": use.called, "days": RING_BACK.days},
        _("People ring back: whoever is given this number next would get their calls."),
    ]
    return " ".join(said)


def retire(row: PhoneNumber, *, reason: str, anyway: bool, now: datetime) -> None:
    """No caller ID any more; whoever rings it is answered as before. What waits already still goes out.

    Raises StillInUse, unless `anyway` and with a reason.
    """
    _check(row, reason=reason, anyway=anyway, now=now)
    row.active = False
    row.save(update_fields=["active"])


def remove(row: PhoneNumber, *, reason: str, anyway: bool, now: datetime) -> None:
    """Delete the row: it is no longer one of ours. Its calls stay.

    Raises StillInUse: as `retire`, and always while calls from it are not over.
    """
    with transaction.atomic():
        use = _check(row, reason=reason, anyway=anyway, now=now)
        if use.not_over:
            raise StillInUse(
                ngettext(
                    "%(count)d call from it is not over yet.",
                    "%(count)d calls from it are not over yet.",
                    use.not_over,
                )
                % {"count": use.not_over}
            )
        row.delete()


def _check(row: PhoneNumber, *, reason: str, anyway: bool, now: datetime) -> Use:
    use = use_of(row.number, now=now)
    why_not = why_not_release(use, now=now)
    if why_not and not (anyway and reason.strip()):
        raise StillInUse(why_not)
    return use
