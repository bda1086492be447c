"""What a contract with the phone company can do at all; what it cannot is not offered, and says why."""

from __future__ import annotations

import enum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Ability(enum.StrEnum):
    LOOK_UP = "look_up"
    """Tell how a call is, by its id, by ours, or in a list."""
    HANG_UP = "hang_up"
    STEER = "steer"
    """Say something to the agent of a call that is on."""
    BARGE_IN = "barge_in"
    """Leave it to us to stop the agent when the person speaks."""
    OVERRIDE = "override"
    """Let one call have its agent differently."""
    CATALOGUE = "catalogue"
    """List agents and numbers, and change them."""
    CREATE_AGENT = "create_agent"
    CAPACITY = "capacity"
    """Say how much room there is, and whether the key is good."""
    ASK_INBOUND = "ask_inbound"
    """Ask us who is calling when one of our numbers rings."""
    MOVE = "move"
    """Send the telephones of a call that one of us makes elsewhere: on hold, to a colleague, to a message."""


TODAYS = frozenset(Ability) - {Ability.CREATE_AGENT, Ability.BARGE_IN, Ability.MOVE}

WHY_NOT: dict[Ability, Promise] = {
    Ability.LOOK_UP: _(
        "Retell, as this site is set up to speak to it, cannot be asked about calls: "
        "all that is known of them is what it tells by itself."
    ),
    Ability.HANG_UP: _(
        "Retell, as this site is set up to speak to it, cannot be told to hang up: "
        "the call goes on until the person or the AI agent ends it."
    ),
    Ability.STEER: _("Retell, as this site is set up to speak to it, takes no word into a call that is on."),
    Ability.OVERRIDE: _("Nothing of an AI agent can be changed for one call."),
    Ability.BARGE_IN: _(
        "Retell stops the AI agent by itself when the person speaks; how easily is set for each AI agent."
    ),
    Ability.CATALOGUE: _(
        "Retell, as this site is set up to speak to it, does not list AI agents and phone "
        "numbers, so there is nothing to sync: AI agents are created from here, and numbers to call from are "
        "added by hand, or one is set in TWILIO_FROM_NUMBER."
    ),
    Ability.CREATE_AGENT: _("AI agents are made in Retell's dashboard; Sync brings them here."),
    Ability.CAPACITY: _(
        "Retell, as this site is set up to speak to it, does not say how many calls it has "
        "room for: MAX_CONCURRENT_CALLS decides."
    ),
    Ability.ASK_INBOUND: _(
        "Retell, as this site is set up to speak to it, does not ask who is calling: the "
        "number's own AI agent answers."
    ),
    Ability.MOVE: _(
        "An AI agent holds this conversation: only calls that one of us makes can be put on hold or "
        "transferred from here."
    ),
}
