"""What the telephones of a call without AI hear, document by document, in TwiML.

Ours is rung by the dialer and offered to press 1, so that no mailbox of ours is connected. Only then theirs
is asked for (`dialer.let_through`), rung from our number, told that the call is recorded, and connected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from agents import phone
from agents.providers.twilio.callbacks import Callback
from agents.providers.twilio.twiml import LONGEST_SAID, Twiml, address
from calls.dialer import let_through
from calls.models import Call

CONNECT = "1"
OFFERS = 3
RINGS_S = 25
LONGEST_S = 2 * 3600
"""No talk lasts longer: what is left off the hook costs money by the minute."""


def offer(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Our telephone was picked up, by somebody or by a mailbox."""
    answer = Twiml()
    call = _call(about)
    if call is None:
        return goodbye(_("This call is not known any more."))
    for _time in range(OFFERS):
        keys = answer.gather(action=at("desk-key", call.pk), digits=1, timeout_s=5, even_if_empty=False)
        keys.say(_("Press 1 to be connected to %(name)s.") % {"name": name_of(call)})
    answer.say(_("Nothing was pressed. Nobody was called. Goodbye."))
    answer.hang_up()
    return answer


def key(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """Something was pressed on our telephone."""
    if asked.digits != CONNECT or about is None:
        return offer(asked, about, now)
    found = let_through(about)
    if found.call is None:
        return goodbye(
            _("%(name)s cannot be called now.") % {"name": name_of(_call(about))} + " " + found.why
        )
    recorded = settings.RECORDING_NOTICE
    answer = Twiml()
    answer.dial(
        numbers=[found.call.counterpart],
        caller_id=found.call.our_number,
        action=at("desk-after", about),
        ring_s=RINGS_S,
        longest_s=LONGEST_S,
        status_callback=address(f"/webhook/twilio/status/{about}"),
        detect="Enable",
        detect_callback=address(f"/webhook/twilio/status/{about}"),
        whisper_url=at("desk-notice", about) if recorded else "",
        record=bool(recorded),
        recording_callback=address(f"/webhook/twilio/status/{about}") if recorded else "",
    )
    return answer


def notice(asked: Callback, about: UUID | None, now: datetime) -> Twiml:
    """What they hear before they are connected, and before anything is recorded."""
    answer = Twiml()
    if settings.RECORDING_NOTICE:
        answer.say(settings.RECORDING_NOTICE)
    return answer


VOICES: Mapping[str, Callable[[Callback, UUID | None, datetime], Twiml]] = {
    "desk": offer,
    "desk-key": key,
    "desk-notice": notice,
}


def _call(about: UUID | None) -> Call | None:
    rows = Call.objects.select_related("lead").exclude(desk_number="")
    return rows.filter(pk=about).first() if about else None


def name_of(call: Call | None) -> str:
    if call is None:
        return _("They")
    return (call.lead.spoken_name if call.lead else "") or phone.pretty(call.counterpart)


def goodbye(text: str) -> Twiml:
    answer = Twiml()
    answer.say(text[:LONGEST_SAID])
    answer.hang_up()
    return answer


def at(script: str, about: UUID) -> str:
    return address(f"/webhook/twilio/voice/{script}/{about}")
