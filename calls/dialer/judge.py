"""A person decides about a call of which nobody knows whether it rang, or has seen an incident."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from calls.dialer.ask import BadRequest, call_now
from calls.models import Call, CallStatus, Judgement, Outcome
from calls.models.clock import database_now

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class NothingToDecide(ValueError):
    """News came meanwhile, or somebody was faster."""


def judge(call: Call, judgement: Judgement, *, by: User) -> Call:
    """What a person says; the number is free again, and looks end. Later news still corrects the outcome.

    `AGAIN` asks for a call anew, and undoes itself when that is refused; then the call asked for is
    returned, else the one judged. Raises NothingToDecide, and for `AGAIN` what `ask` raises.
    """
    with transaction.atomic():
        locked = Call.objects.select_for_update(of=("self",)).select_related("lead", "agent").get(pk=call.pk)
        unknown = locked.status == CallStatus.ENDED and locked.outcome == Outcome.UNKNOWN
        fitting = locked.incident if judgement == Judgement.SEEN else unknown
        if not fitting or locked.judged:
            raise NothingToDecide(_("There is nothing to decide any more: look at the call."))
        locked.judged, locked.judged_by, locked.judged_at = judgement, by, database_now()
        fields = ["judged", "judged_by", "judged_at"]
        if judgement != Judgement.SEEN:
            locked.final, locked.next_look_at = True, None
            fields += ["final", "next_look_at"]
        if judgement == Judgement.NOT_CALLED:
            locked.outcome = Outcome.FAILED
            locked.outcome_evidence = _("%(who)s says that it was not called.") % {"who": by.get_username()}
            fields += ["outcome", "outcome_evidence"]
        locked.save(update_fields=fields)
        if judgement != Judgement.AGAIN:
            return locked
        if locked.agent is None and not locked.desk_number:
            raise BadRequest(_("Choose an AI agent on the lead's page."))
        return call_now(locked, by=by, now=database_now())
