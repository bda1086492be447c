"""What a Twilio account holds: numbers, and the trunks that lead them to Retell. In memory, with its REST."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from agents.sandbox.seeds import NUMBERS, TRUNK
from agents.sandbox.twilio.wire import (
    VERSION,
    TwilioError,
    answer,
    demanded,
    iso,
    missing,
    new_sid,
    page,
    page_with_meta,
    rfc2822,
    truth,
)

FREE_NUMBERS = ("+12125550180", "+12125550181", "+442079460980")
"""Numbers of the account that Retell does not know yet; `NUMBERS` of the seeds are on a trunk already."""
DOMAIN = re.compile(r"[A-Za-z0-9-]+\.pstn\.twilio\.com")
RETELL_SIP = "sip.retellai.com"
NUMBER_FIELDS = {
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceFallbackMethod": "voice_fallback_method",
    "VoiceApplicationSid": "voice_application_sid",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
    "FriendlyName": "friendly_name",
    "TrunkSid": "trunk_sid",
}


class Holdings:
    """Thread-safe. Bodies are what REST answers."""

    def __init__(self, account_sid: str) -> None:
        self.account_sid = account_sid
        self.lock = threading.RLock()
        self.numbers: dict[str, dict[str, Any]] = {}
        self.trunks: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, dict[str, dict[str, Any]]] = {}
        self.attached: dict[str, list[str]] = {}
        self.lists: dict[str, dict[str, Any]] = {}
        self.credentials: dict[str, dict[str, dict[str, Any]]] = {}
        self._seed()

    def _seed(self) -> None:
        for number in (*FREE_NUMBERS, *NUMBERS[2:]):
            body = self._number(number)
            self.numbers[body["sid"]] = body
        trunk = self._new_trunk("Brightside", TRUNK)
        trunk["auth_type"], trunk["auth_type_set"] = "IP_ACL", ["IP_ACL"]
        self._new_origin(trunk["sid"], "Retell", f"sip:{RETELL_SIP};transport=tcp", 10, 10, True)
        for body in self.numbers.values():
            if body["phone_number"] in NUMBERS:
                body["trunk_sid"] = trunk["sid"]

    def _number(self, e164: str) -> dict[str, Any]:
        sid = new_sid("PN")
        return {
            "sid": sid,
            "account_sid": self.account_sid,
            "phone_number": e164,
            "friendly_name": e164,
            "capabilities": {"voice": True, "sms": False, "mms": False, "fax": False},
            "trunk_sid": None,
            "voice_url": "https://demo.twilio.com/welcome/voice/",
            "voice_method": "POST",
            "voice_fallback_url": "",
            "voice_fallback_method": "POST",
            "voice_application_sid": "",
            "status_callback": "",
            "status_callback_method": "POST",
            "origin": "twilio",
            "status": "in-use",
            "type": "local",
            "beta": False,
            "api_version": VERSION,
            "date_created": rfc2822(time.time()),
            "date_updated": rfc2822(time.time()),
            "uri": f"/{VERSION}/Accounts/{self.account_sid}/IncomingPhoneNumbers/{sid}.json",
        }

    def by_number(self, e164: str) -> dict[str, Any] | None:
        with self.lock:
            return next((body for body in self.numbers.values() if body["phone_number"] == e164), None)

    # HTTP

    def rules(self) -> Sequence[Rule]:
        def rule(methods: str, path: str, endpoint: Callable[..., Response]) -> Rule:
            return Rule(path, methods=methods.split(), endpoint=endpoint)

        here = f"/{VERSION}/Accounts/<account>"
        lists, trunks = f"{here}/SIP/CredentialLists", "/v1/Trunks"
        return [
            rule("GET", f"{here}/IncomingPhoneNumbers.json", self.list_numbers),
            rule("GET POST", f"{here}/IncomingPhoneNumbers/<sid>.json", self.number),
            rule("GET", f"{here}/OutgoingCallerIds.json", self.caller_ids),
            rule("GET POST", f"{lists}.json", self.credential_lists),
            rule("GET DELETE", f"{lists}/<sid>.json", self.credential_list),
            rule("GET POST", f"{lists}/<sid>/Credentials.json", self.list_credentials),
            rule("GET POST DELETE", f"{lists}/<sid>/Credentials/<credential>.json", self.credential),
            rule("GET POST", trunks, self.list_trunks),
            rule("GET POST DELETE", f"{trunks}/<sid>", self.trunk),
            rule("GET POST", f"{trunks}/<sid>/OriginationUrls", self.list_origins),
            rule("GET POST DELETE", f"{trunks}/<sid>/OriginationUrls/<origin>", self.origin),
            rule("GET POST", f"{trunks}/<sid>/CredentialLists", self.lists_of),
            rule("GET DELETE", f"{trunks}/<sid>/CredentialLists/<list_sid>", self.list_of),
            rule("GET POST", f"{trunks}/<sid>/PhoneNumbers", self.numbers_of),
            rule("GET DELETE", f"{trunks}/<sid>/PhoneNumbers/<number>", self.number_of),
        ]

    def list_numbers(self, request: Request) -> Response:
        wanted = request.args.get("PhoneNumber", "").strip("*").replace(" ", "+")
        with self.lock:
            found = [dict(body) for body in self.numbers.values() if wanted in body["phone_number"]]
        return page(request, "incoming_phone_numbers", found)

    def number(self, request: Request, sid: str) -> Response:
        with self.lock:
            body = _of(self.numbers, sid)
            for name, own in NUMBER_FIELDS.items():
                if request.method == "POST" and name in request.form:
                    body[own] = request.form[name] or ("" if own != "trunk_sid" else None)
            # A trunk excludes a voice URL and an application: setting one deletes the other.
            given = request.form.get("VoiceUrl") or request.form.get("VoiceApplicationSid")
            if request.method == "POST" and given:
                body["trunk_sid"] = None
            return answer(body)

    def caller_ids(self, request: Request) -> Response:
        return page(request, "outgoing_caller_ids", [])

    def credential_lists(self, request: Request) -> Response:
        with self.lock:
            if request.method == "GET":
                return page(request, "credential_lists", list(self.lists.values()))
            (name,) = demanded(request, "FriendlyName")
            sid = new_sid("CL")
            now = rfc2822(time.time())
            self.lists[sid] = {
                "sid": sid,
                "account_sid": self.account_sid,
                "friendly_name": name,
                "date_created": now,
                "date_updated": now,
                "subresource_uris": {},
                "uri": f"/{VERSION}/Accounts/{self.account_sid}/SIP/CredentialLists/{sid}.json",
            }
            self.credentials[sid] = {}
            return answer(self.lists[sid], 201)

    def credential_list(self, request: Request, sid: str) -> Response:
        with self.lock:
            body = _of(self.lists, sid)
            if request.method == "GET":
                return answer(body)
            if any(sid in attached for attached in self.attached.values()):
                raise TwilioError(400, 21241, "The credential list is attached to a trunk")
            del self.lists[sid], self.credentials[sid]
            return Response(status=204)

    def list_credentials(self, request: Request, sid: str) -> Response:
        with self.lock:
            _of(self.lists, sid)
            known = self.credentials[sid]
            if request.method == "GET":
                return page(request, "credentials", [_without_password(body) for body in known.values()])
            username, password = demanded(request, "Username", "Password")
            _check_password(password)
            if any(body["username"] == username for body in known.values()):
                raise TwilioError(409, 21240, "The username is taken")
            new = new_sid("CR")
            now = rfc2822(time.time())
            known[new] = {
                "sid": new,
                "account_sid": self.account_sid,
                "credential_list_sid": sid,
                "username": username,
                "password": password,
                "date_created": now,
                "date_updated": now,
                "uri": f"/{VERSION}/Accounts/{self.account_sid}/SIP/CredentialLists/{sid}/Credentials/{new}",
            }
            return answer(_without_password(known[new]), 201)

    def credential(self, request: Request, sid: str, credential: str) -> Response:
        with self.lock:
            _of(self.lists, sid)
            body = _of(self.credentials[sid], credential)
            if request.method == "DELETE":
                del self.credentials[sid][credential]
                return Response(status=204)
            if request.method == "POST":
                (password,) = demanded(request, "Password")
                _check_password(password)
                body["password"] = password
            return answer(_without_password(body))

    def list_trunks(self, request: Request) -> Response:
        with self.lock:
            if request.method == "GET":
                return page_with_meta(request, "trunks", list(self.trunks.values()))
            domain = request.form.get("DomainName", "")
            if domain and not DOMAIN.fullmatch(domain):
                raise TwilioError(400, 21245, "DomainName must end with pstn.twilio.com")
            if any(body["domain_name"] == domain for body in self.trunks.values()):
                raise TwilioError(400, 21248, "Domain name is already taken")
            body = self._new_trunk(request.form.get("FriendlyName", ""), domain)
            self._change_trunk(body, request)
            return answer(body, 201)

    def _new_trunk(self, name: str, domain: str) -> dict[str, Any]:
        sid = new_sid("TK")
        now = iso(time.time())
        self.trunks[sid] = {
            "sid": sid,
            "account_sid": self.account_sid,
            "friendly_name": name,
            "domain_name": domain,
            "secure": False,
            "transfer_mode": "disable-all",
            "transfer_caller_id": "from-transferee",
            "cnam_lookup_enabled": False,
            "disaster_recovery_url": None,
            "disaster_recovery_method": None,
            "auth_type": "",
            "auth_type_set": [],
            "recording": {"mode": "do-not-record", "trim": "do-not-trim"},
            "date_created": now,
            "date_updated": now,
            "url": f"https://trunking.twilio.com/v1/Trunks/{sid}",
            "links": {},
        }
        self.origins[sid], self.attached[sid] = {}, []
        return self.trunks[sid]

    def _change_trunk(self, body: dict[str, Any], request: Request) -> None:
        for name, own in (
            ("FriendlyName", "friendly_name"),
            ("TransferMode", "transfer_mode"),
            ("TransferCallerId", "transfer_caller_id"),
            ("DomainName", "domain_name"),
            ("DisasterRecoveryUrl", "disaster_recovery_url"),
            ("DisasterRecoveryMethod", "disaster_recovery_method"),
        ):
            body[own] = request.form.get(name, body[own])
        body["secure"] = truth(request.form.get("Secure"), body["secure"])

    def trunk(self, request: Request, sid: str) -> Response:
        with self.lock:
            body = _of(self.trunks, sid)
            if request.method == "DELETE":
                if any(number["trunk_sid"] == sid for number in self.numbers.values()):
                    raise TwilioError(400, 21249, "Numbers are still attached to the trunk")
                del self.trunks[sid], self.origins[sid], self.attached[sid]
                return Response(status=204)
            if request.method == "POST":
                self._change_trunk(body, request)
            return answer(body)

    def list_origins(self, request: Request, sid: str) -> Response:
        with self.lock:
            _of(self.trunks, sid)
            if request.method == "GET":
                return page_with_meta(request, "origination_urls", list(self.origins[sid].values()))
            weight, priority, enabled, name, url = demanded(
                request, "Weight", "Priority", "Enabled", "FriendlyName", "SipUrl"
            )
            if not url.startswith(("sip:", "sips:")):
                raise TwilioError(400, 21243, "SipUrl must be a SIP URI")
            return answer(self._new_origin(sid, name, url, int(weight), int(priority), truth(enabled)), 201)

    def _new_origin(
        self, trunk: str, name: str, url: str, weight: int, priority: int, enabled: bool
    ) -> dict[str, Any]:
        sid = new_sid("OU")
        now = iso(time.time())
        self.origins[trunk][sid] = {
            "sid": sid,
            "account_sid": self.account_sid,
            "trunk_sid": trunk,
            "friendly_name": name,
            "sip_url": url,
            "weight": weight,
            "priority": priority,
            "enabled": enabled,
            "date_created": now,
            "date_updated": now,
            "url": f"https://trunking.twilio.com/v1/Trunks/{trunk}/OriginationUrls/{sid}",
        }
        return self.origins[trunk][sid]

    def origin(self, request: Request, sid: str, origin: str) -> Response:
        with self.lock:
            _of(self.trunks, sid)
            body = _of(self.origins[sid], origin)
            if request.method == "DELETE":
                del self.origins[sid][origin]
                return Response(status=204)
            if request.method == "POST":
                body["sip_url"] = request.form.get("SipUrl", body["sip_url"])
                body["friendly_name"] = request.form.get("FriendlyName", body["friendly_name"])
                body["enabled"] = truth(request.form.get("Enabled"), body["enabled"])
            return answer(body)

    def lists_of(self, request: Request, sid: str) -> Response:
        with self.lock:
            trunk = _of(self.trunks, sid)
            if request.method == "GET":
                found = [self._attached(sid, list_sid) for list_sid in self.attached[sid]]
                return page_with_meta(request, "credential_lists", found)
            (list_sid,) = demanded(request, "CredentialListSid")
            _of(self.lists, list_sid)
            if list_sid in self.attached[sid]:
                raise TwilioError(400, 21247, "The credential list is attached already")
            self.attached[sid].append(list_sid)
            _authorise(trunk, "CREDENTIAL_LIST", True)
            return answer(self._attached(sid, list_sid), 201)

    def list_of(self, request: Request, sid: str, list_sid: str) -> Response:
        with self.lock:
            trunk = _of(self.trunks, sid)
            if list_sid not in self.attached[sid]:
                raise missing(list_sid)
            if request.method == "GET":
                return answer(self._attached(sid, list_sid))
            self.attached[sid].remove(list_sid)
            _authorise(trunk, "CREDENTIAL_LIST", bool(self.attached[sid]))
            return Response(status=204)

    def _attached(self, trunk: str, list_sid: str) -> dict[str, Any]:
        now = iso(time.time())
        return {
            "sid": list_sid,
            "account_sid": self.account_sid,
            "trunk_sid": trunk,
            "friendly_name": self.lists[list_sid]["friendly_name"],
            "date_created": now,
            "date_updated": now,
            "url": f"https://trunking.twilio.com/v1/Trunks/{trunk}/CredentialLists/{list_sid}",
        }

    def numbers_of(self, request: Request, sid: str) -> Response:
        with self.lock:
            _of(self.trunks, sid)
            if request.method == "GET":
                found = [_on_trunk(body) for body in self.numbers.values() if body["trunk_sid"] == sid]
                return page_with_meta(request, "phone_numbers", found)
            (number,) = demanded(request, "PhoneNumberSid")
            body = _of(self.numbers, number)
            if body["trunk_sid"]:
                raise TwilioError(400, 21246, "The number is attached to a trunk already")
            body["trunk_sid"], body["voice_url"], body["voice_application_sid"] = sid, "", ""
            return answer(_on_trunk(body), 201)

    def number_of(self, request: Request, sid: str, number: str) -> Response:
        with self.lock:
            _of(self.trunks, sid)
            body = _of(self.numbers, number)
            if body["trunk_sid"] != sid:
                raise missing(number)
            if request.method == "DELETE":
                body["trunk_sid"] = None
                return Response(status=204)
            return answer(_on_trunk(body))


def _authorise(trunk: dict[str, Any], kind: str, on: bool) -> None:
    kinds = [each for each in trunk["auth_type_set"] if each != kind] + ([kind] if on else [])
    trunk["auth_type"], trunk["auth_type_set"] = ",".join(kinds), kinds


def _of(known: dict[str, dict[str, Any]], sid: str) -> dict[str, Any]:
    if sid not in known:
        raise missing(sid)
    return known[sid]


def _without_password(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "password"}


def _check_password(password: str) -> None:
    mixed = re.search(r"[a-z]", password) and re.search(r"[A-Z]", password) and re.search(r"\d", password)
    if len(password) < 12 or not mixed:
        raise TwilioError(400, 21239, "The password must have 12 characters, a digit and mixed case")


def _on_trunk(body: Mapping[str, Any]) -> dict[str, Any]:
    now = iso(time.time())
    return {**body, "date_created": now, "date_updated": now, "links": {}, "url": body["uri"]}
