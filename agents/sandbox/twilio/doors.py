"""The sandbox's own doors to Twilio's side: who rings in, what people press, who hangs up, what happened."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from agents.sandbox.account import Account
from agents.sandbox.network import Network
from agents.sandbox.retell_requests import read_json
from agents.sandbox.twilio.carriage import Carriage
from agents.sandbox.twilio.exchange import Exchange
from agents.sandbox.twilio.holdings import Holdings
from agents.sandbox.twilio.legs import Leg, Source, Wants
from agents.sandbox.twilio.wire import answer, missing, new_sid


class Doors:
    def __init__(
        self,
        *,
        account_sid: str,
        holdings: Holdings,
        carriage: Carriage,
        exchange: Exchange,
        network: Network,
        account: Account,
    ) -> None:
        """`account` is Retell's: which numbers it knows."""
        self._account_sid, self._holdings, self._exchange = account_sid, holdings, exchange
        self._carriage = carriage
        self._network, self._account = network, account

    def rules(self) -> Sequence[Rule]:
        def rule(method: str, path: str, endpoint: Callable[..., Response]) -> Rule:
            return Rule("/control" + path, methods=[method], endpoint=endpoint)

        return [
            rule("POST", "/twilio/inbound", self.ring_in),
            rule("POST", "/twilio/keys", self.set_keys),
            rule("POST", "/twilio/hang-up", self.person_hangs_up),
            rule("GET", "/ledger/twilio", self.book),
        ]

    def ring_in(self, request: Request) -> Response:
        """{"from_number", "to_number"}: somebody rings a number of the account.

        On a trunk the call goes to Retell, or where that cannot be reached to the trunk's address for
        disasters; else the number's voice URL is asked.
        """
        found = read_json(request.get_data())
        caller, ours = (
            str(found.get("from_number", "")),
            self._holdings.by_number(str(found.get("to_number", ""))),
        )
        if ours is None:
            raise missing(str(found.get("to_number", "")))
        if ours["trunk_sid"]:
            return self._over_trunk(caller, ours)
        source = Source(url=ours["voice_url"], fallback=ours["voice_fallback_url"])
        return self._asks(caller, ours, source)

    def _asks(self, caller: str, ours: Mapping[str, Any], source: Source, *, problem: str = "") -> Response:
        leg = Leg(
            sid=new_sid("CA"),
            account_sid=self._account_sid,
            to=ours["phone_number"],
            from_=caller,
            direction="inbound",
            created=time.time(),
            source=source,
            wants=Wants(ours["status_callback"]),
        )
        return answer({"sid": self._exchange.begin(leg).sid, "call_id": None, "problem": problem})

    def _over_trunk(self, caller: str, ours: Mapping[str, Any]) -> Response:
        known = any(body["phone_number"] == ours["phone_number"] for body in self._account.numbers())
        if problem := self._carriage.keeps(ours["phone_number"]):
            trunk = self._holdings.trunks[ours["trunk_sid"]]
            if trunk["disaster_recovery_url"]:
                return self._asks(caller, ours, Source(url=trunk["disaster_recovery_url"]), problem=problem)
            return answer({"sid": None, "call_id": None, "problem": problem})
        if not known:
            return answer({"sid": None, "call_id": None, "problem": "32011 Retell does not know the number"})
        call = self._network.ring_in(from_number=caller, to_number=ours["phone_number"])
        return answer({"sid": None, "call_id": call.id, "problem": ""})

    def set_keys(self, request: Request) -> Response:
        """{"number", "digits": ["1", ""]}: what whoever has that number presses at the next questions."""
        found = read_json(request.get_data())
        with self._exchange.changed:
            digits = deque(str(item) for item in found.get("digits") or [])
            self._exchange.keys[str(found.get("number", ""))] = digits
        return answer({"number": found.get("number"), "digits": list(digits)})

    def person_hangs_up(self, request: Request) -> Response:
        """{"sid"} of a leg, or {"number"}: whoever holds that telephone hangs up."""
        found = read_json(request.get_data())
        with self._exchange.changed:
            legs = [
                leg
                for leg in self._exchange.legs.values()
                if not leg.over
                and (leg.sid == found.get("sid") or found.get("number") in (leg.to, leg.from_))
            ]
        return answer({"hung_up": [leg.sid for leg in legs if self._exchange.hang_up(leg)]})

    def book(self, request: Request) -> Response:
        """Every leg: what it heard, pressed, and how it ended."""
        with self._exchange.changed:
            found = [
                leg.as_json()
                | {
                    "heard": list(leg.heard),
                    "pressed": list(leg.pressed),
                    "problems": list(leg.problems),
                    "kind": leg.person.kind if leg.person else None,
                    "was_bridged": leg.was_bridged,
                    "rang": leg.rang is not None,
                    "in_conference": leg.conference.name if leg.conference else None,
                }
                for leg in self._exchange.legs.values()
            ]
        return answer({"legs": found})
