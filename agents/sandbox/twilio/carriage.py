"""What the account's trunks carry between Retell and the telephone network, and what they do not.

Out: Retell names a domain, shows credentials and a number to call from. In: the trunk of the number that was
rung has an address of Retell's, or the call ends there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from agents.phone import country_of
from agents.sandbox.limits import Pace
from agents.sandbox.twilio.holdings import RETELL_SIP, Holdings
from agents.sandbox.twilio.wire import answer, missing

TWILIOS = ".pstn.twilio.com"
DENIED = "telephony_provider_permission_denied"


class Carriage:
    """Thread-safe."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self.pace = Pace(0)
        """Calls a second that a trunk takes from Retell; what is over it is rejected."""
        self.closed_countries: frozenset[str] = frozenset()
        """ISO alpha-2: the account may not call there."""

    def refuses(self, trunk: Mapping[str, Any], from_number: str, to_number: str) -> str:
        """Why a call of Retell's over this trunk gets nowhere, in Retell's word; '' when it may go out.

        `trunk` is the `sip_outbound_trunk_config` of Retell's number. Another company's trunk is none of our
        business; a domain of Twilio's that nobody here has is answered by nobody.
        """
        holdings = self._holdings
        with holdings.lock:
            domain = str(trunk.get("termination_uri") or "")
            mine = next((body for body in holdings.trunks.values() if body["domain_name"] == domain), None)
            if mine is None:
                return "sip_routing_error" if domain.endswith(TWILIOS) else ""
            number = holdings.by_number(from_number)
            if number is None or number["trunk_sid"] != mine["sid"] or not self._admits(mine, trunk):
                return DENIED
            if country_of(to_number) in self.closed_countries:
                return DENIED
            return "" if self.pace.allows(mine["sid"]) else "telephony_provider_unavailable"

    def _admits(self, mine: Mapping[str, Any], trunk: Mapping[str, Any]) -> bool:
        """Retell's addresses are on every list of addresses; a list of credentials is asked as well."""
        if "CREDENTIAL_LIST" not in mine["auth_type_set"]:
            return "IP_ACL" in mine["auth_type_set"]
        given = (trunk.get("auth_username"), trunk.get("auth_password"))
        return any(
            (known["username"], known["password"]) == given
            for list_sid in self._holdings.attached.get(mine["sid"], [])
            for known in self._holdings.credentials.get(list_sid, {}).values()
        )

    def keeps(self, to_number: str) -> str:
        """Why somebody who rings this number does not reach Retell over a trunk; '' when they do.

        A number of another account is none of our business.
        """
        holdings = self._holdings
        with holdings.lock:
            number = holdings.by_number(to_number)
            if number is None:
                return ""
            if not number["trunk_sid"]:
                return "the number is on no trunk"
            origins = holdings.origins.get(number["trunk_sid"], {}).values()
            if not any(origin["enabled"] for origin in origins):
                return "32010 no enabled origination URL"
            if not any(origin["enabled"] and RETELL_SIP in origin["sip_url"] for origin in origins):
                return "32011 the origination URL is not Retell's"
            return ""

    # HTTP

    def rules(self) -> Sequence[Rule]:
        def rule(path: str, endpoint: Callable[..., Response]) -> Rule:
            return Rule(path, methods=["GET"], endpoint=endpoint)

        return [rule("/v1/DialingPermissions/Countries/<country>", self.country)]

    def country(self, request: Request, country: str) -> Response:
        if len(country) != 2 or not country.isupper():
            raise missing(country)
        return answer(
            {
                "iso_code": country,
                "name": country,
                "continent": None,
                "country_codes": [],
                "low_risk_numbers_enabled": country not in self.closed_countries,
                "high_risk_special_numbers_enabled": False,
                "high_risk_tollfraud_numbers_enabled": False,
                "url": f"https://voice.twilio.com/v1/DialingPermissions/Countries/{country}",
                "links": {},
            }
        )
