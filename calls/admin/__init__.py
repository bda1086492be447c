"""The desk's pages. Doors: translate, call one verb, answer.

One module a line, so that Django's autodiscovery finds every registration.
"""

from calls.admin import access as access
from calls.admin import agents as agents
from calls.admin import batches as batches
from calls.admin import calls as calls
from calls.admin import carrier_rates as carrier_rates
from calls.admin import comparisons as comparisons
from calls.admin import do_not_call as do_not_call
from calls.admin import events as events
from calls.admin import exports as exports
from calls.admin import imports as imports
from calls.admin import leads as leads
from calls.admin import machine as machine
from calls.admin import menus as menus
from calls.admin import people as people
from calls.admin import phone_numbers as phone_numbers
from calls.admin import promises as promises
from calls.admin import voicemail_messages as voicemail_messages

__all__ = [
    "access",
    "agents",
    "batches",
    "calls",
    "carrier_rates",
    "comparisons",
    "do_not_call",
    "events",
    "exports",
    "imports",
    "leads",
    "machine",
    "menus",
    "people",
    "phone_numbers",
    "promises",
    "voicemail_messages",
]
