"""Elastic SIP trunks: the line between Twilio's numbers and Retell.

In Twilio's words *termination* is a call into Twilio (Retell calls out), *origination* one out of it (people
ring us). Making anything is sent once: after an unclear answer, list, and use again what is there.
"""

from __future__ import annotations

import re
import secrets
import string

from agents.providers.twilio import resources as read
from agents.providers.twilio.orders import Fields
from agents.providers.twilio.rest import PATH_SAFE, Twilio

RETELL_SIP = "sip:sip.retellai.com;transport=tcp"
DOMAIN = ".pstn.twilio.com"
DOMAIN_FORM = re.compile(r"[A-Za-z0-9-]+" + re.escape(DOMAIN))
PASSWORD_LENGTH = 24


def new_password() -> str:
    """For a credential: Twilio wants 12 characters or more, with a digit and both cases."""
    alphabet = string.ascii_letters + string.digits
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(PASSWORD_LENGTH))
        if (
            any(c.islower() for c in password)
            and any(c.isupper() for c in password)
            and any(c.isdigit() for c in password)
        ):
            return password


def leads_to_retell(origin: read.OriginationUrl) -> bool:
    """Whether calls in are sent to Retell's address, with whatever parameters."""
    return sip_host(origin.sip_url) == sip_host(RETELL_SIP)


def sip_host(sip_url: str) -> str:
    return re.sub(r"^sips?:(?:[^@]*@)?", "", sip_url.strip().lower()).split(";")[0].split(":")[0]


def same_trunk(one: str, other: str) -> bool:
    """Whether two termination domains lead to one trunk: also a region's (a.pstn.dublin.twilio.com)."""
    first, second = one.lower().split("."), other.lower().split(".")
    return first[:2] == second[:2] and first[-2:] == second[-2:] == ["twilio", "com"]


class Trunking:
    """The trunks of one account, over its `Twilio`. Raises what that raises."""

    def __init__(self, twilio: Twilio) -> None:
        self._twilio = twilio

    def trunks(self) -> list[read.Trunk]:
        return [read.trunk(item) for item in self._twilio.all_of(_path(), "trunks")]

    def trunk(self, sid: str) -> read.Trunk:
        return read.trunk(self._twilio.get(_path(sid)))

    def create_trunk(self, *, label: str, domain: str) -> read.Trunk:
        """`domain`: a name of our own, unique in the world, that ends in .pstn.twilio.com. Raises ValueError.

        Transfers are allowed both ways, for the AI agent to hand a caller on.
        """
        if not DOMAIN_FORM.fullmatch(domain):
            raise ValueError("letters, digits and hyphens, then .pstn.twilio.com")
        fields: Fields = {
            "FriendlyName": label,
            "DomainName": domain,
            "TransferMode": "enable-all",
            "TransferCallerId": "from-transferee",
        }
        return read.trunk(self._twilio.post(_path(), fields))

    def change_trunk(self, sid: str, *, disaster_url: str) -> read.Trunk:
        """Who is asked for TwiML where the origination URLs cannot be reached; '' for nobody."""
        fields: Fields = {
            "DisasterRecoveryUrl": disaster_url,
            "DisasterRecoveryMethod": "POST" if disaster_url else None,
        }
        return read.trunk(self._twilio.post(_path(sid), fields, repeat=True))

    def delete_trunk(self, sid: str) -> None:
        self._twilio.delete(_path(sid))

    # Who may call out over it

    def credential_lists(self) -> list[read.CredentialList]:
        found = self._twilio.all_of(self._twilio.sip_path("CredentialLists"), "credential_lists")
        return [read.credential_list(item) for item in found]

    def create_credential_list(self, label: str) -> read.CredentialList:
        path = self._twilio.sip_path("CredentialLists")
        return read.credential_list(self._twilio.post(path, {"FriendlyName": label}))

    def delete_credential_list(self, sid: str) -> None:
        self._twilio.delete(self._twilio.sip_path("CredentialLists", sid))

    def credentials(self, list_sid: str) -> list[read.Credential]:
        path = self._twilio.sip_path("CredentialLists", list_sid, "Credentials")
        return [read.credential(item) for item in self._twilio.all_of(path, "credentials")]

    def create_credential(self, list_sid: str, *, username: str, password: str) -> read.Credential:
        path = self._twilio.sip_path("CredentialLists", list_sid, "Credentials")
        return read.credential(self._twilio.post(path, {"Username": username, "Password": password}))

    def change_password(self, list_sid: str, credential_sid: str, password: str) -> read.Credential:
        path = self._twilio.sip_path("CredentialLists", list_sid, "Credentials", credential_sid)
        return read.credential(self._twilio.post(path, {"Password": password}, repeat=True))

    def delete_credential(self, list_sid: str, credential_sid: str) -> None:
        self._twilio.delete(self._twilio.sip_path("CredentialLists", list_sid, "Credentials", credential_sid))

    def lists_of(self, trunk: str) -> list[read.CredentialList]:
        found = self._twilio.all_of(_path(trunk, "CredentialLists"), "credential_lists")
        return [read.credential_list(item) for item in found]

    def attach_list(self, trunk: str, list_sid: str) -> None:
        self._twilio.post(_path(trunk, "CredentialLists"), {"CredentialListSid": list_sid})

    def detach_list(self, trunk: str, list_sid: str) -> None:
        self._twilio.delete(_path(trunk, "CredentialLists", list_sid))

    # Where calls in go

    def origination_urls(self, trunk: str) -> list[read.OriginationUrl]:
        found = self._twilio.all_of(_path(trunk, "OriginationUrls"), "origination_urls")
        return [read.origination_url(item) for item in found]

    def create_origination_url(
        self, trunk: str, *, label: str, sip_url: str = RETELL_SIP, weight: int = 10, priority: int = 10
    ) -> read.OriginationUrl:
        fields: Fields = {
            "FriendlyName": label,
            "SipUrl": sip_url,
            "Weight": weight,
            "Priority": priority,
            "Enabled": True,
        }
        return read.origination_url(self._twilio.post(_path(trunk, "OriginationUrls"), fields))

    def change_origination_url(
        self, trunk: str, sid: str, *, sip_url: str | None = None, enabled: bool | None = None
    ) -> read.OriginationUrl:
        fields: Fields = {"SipUrl": sip_url, "Enabled": enabled}
        return read.origination_url(
            self._twilio.post(_path(trunk, "OriginationUrls", sid), fields, repeat=True)
        )

    def delete_origination_url(self, trunk: str, sid: str) -> None:
        self._twilio.delete(_path(trunk, "OriginationUrls", sid))

    # Its numbers

    def numbers_of(self, trunk: str) -> list[read.Number]:
        return [
            read.number(item) for item in self._twilio.all_of(_path(trunk, "PhoneNumbers"), "phone_numbers")
        ]

    def attach_number(self, trunk: str, number_sid: str) -> read.Number:
        """The number's voice URL is ignored from now on: note the former one first, to restore it."""
        return read.number(self._twilio.post(_path(trunk, "PhoneNumbers"), {"PhoneNumberSid": number_sid}))

    def detach_number(self, trunk: str, number_sid: str) -> None:
        self._twilio.delete(_path(trunk, "PhoneNumbers", number_sid))


def _path(*parts: str) -> str:
    for part in parts:
        if not PATH_SAFE.fullmatch(part):
            raise ValueError(f"no id of Twilio's: {part!r}")
    return "/".join(("/v1/Trunks", *parts))
