"""Twilio's REST, form-encoded over httpx. Fields as in the official package (twilio 9.13.0); trunks are in
`trunk.py`.

What only reads, or can be done twice without harm (hang up, redirect, change, delete), is asked again after a
passing failure and after 429. What makes something is sent once: Twilio knows no idempotency key, so after an
unclear answer one looks (`find_legs`) and never sends again.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from agents.providers.base import Accepted, NotFound, RefusalScope, Refused, Unclear
from agents.providers.http import ASK_DEADLINE_S, Answer, HttpClient, whole
from agents.providers.twilio import resources as read
from agents.providers.twilio.answers import Over, failure, read_object
from agents.providers.twilio.orders import LONGEST_INLINE, PROGRESS, Fields, LegOrder, encode

API = "https://api.twilio.com"
TRUNKING = "https://trunking.twilio.com"
VOICE = "https://voice.twilio.com"
FORM = "application/x-www-form-urlencoded"
PAGE_SIZE = 200
MOST_PAGES = 100
SID_FORM = re.compile(r"AC[0-9a-f]{32}")
TOKEN_FORM = re.compile(r"[\x21-\x7e]+")
COUNTRY_FORM = re.compile(r"[A-Z]{2}")
PATH_SAFE = re.compile(r"[A-Za-z0-9_-]+|Twilio\.CURRENT")


class Twilio:
    """One account. Thread-safe. Every verb raises NotSent, Busy, Refused, Unclear or NotFound."""

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        base_url: str = "",
        transport: httpx.BaseTransport | None = None,
        ask_deadline_s: float = ASK_DEADLINE_S,
    ) -> None:
        """`base_url`: the sandbox's, for all of Twilio's addresses; '' for Twilio itself."""
        self.account_sid = account_sid
        self._usable = bool(SID_FORM.fullmatch(account_sid) and TOKEN_FORM.fullmatch(auth_token))
        basic = base64.b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        self._headers = headers = {"Authorization": f"Basic {basic}"} if self._usable else {}
        self._base = base_url or API

        def client(address: str) -> HttpClient:
            return HttpClient(
                base_url or address,
                headers=headers,
                content_type=FORM,
                transport=transport,
                ask_deadline_s=ask_deadline_s,
            )

        self._api = client(API)
        self._trunking = self._api if base_url else client(TRUNKING)
        self._voice = self._api if base_url else client(VOICE)

    @classmethod
    def from_settings(cls, *, ask_deadline_s: float = ASK_DEADLINE_S) -> Self:
        return cls(
            account_sid=settings.TWILIO_ACCOUNT_SID,
            auth_token=next(iter(settings.TWILIO_AUTH_TOKENS), ""),
            base_url=settings.TWILIO_BASE_URL,
            ask_deadline_s=ask_deadline_s,
        )

    def close(self) -> None:
        self._api.close()
        self._trunking.close()
        self._voice.close()

    # The account and its numbers

    def account(self) -> read.AccountState:
        """The credentials check."""
        return read.account_state(self.get(f"/2010-04-01/Accounts/{self.account_sid}.json"))

    def numbers(self, number: str = "") -> list[read.Number]:
        """All, or the one with this E.164 number."""
        found = self.all_of(
            self._path("IncomingPhoneNumbers"), "incoming_phone_numbers", PhoneNumber=number or None
        )
        return [item for item in map(read.number, found) if not number or item.number == number]

    def number(self, sid: str) -> read.Number:
        return read.number(self.get(self._path("IncomingPhoneNumbers", sid)))

    def change_number(
        self,
        sid: str,
        *,
        voice_url: str | None = None,
        voice_method: str = "POST",
        application_sid: str | None = None,
        fallback_url: str | None = None,
        status_callback: str | None = None,
        label: str | None = None,
    ) -> read.Number:
        """What is None stays; '' takes away. A voice URL or an application takes the number off its trunk."""
        changes: Fields = {
            "VoiceUrl": voice_url,
            "VoiceMethod": voice_method if voice_url else None,
            "VoiceApplicationSid": application_sid,
            "VoiceFallbackUrl": fallback_url,
            "VoiceFallbackMethod": "POST" if fallback_url else None,
            "StatusCallback": status_callback,
            "StatusCallbackMethod": "POST" if status_callback else None,
            "FriendlyName": label,
        }
        return read.number(self.post(self._path("IncomingPhoneNumbers", sid), changes, repeat=True))

    def may_call(self, country: str) -> bool:
        """Whether its geo permissions let the account call usual numbers of a country (ISO alpha-2).

        Raises NotFound for a country that Twilio does not list.
        """
        if not COUNTRY_FORM.fullmatch(country):
            raise ValueError(f"no country: {country!r}")
        found = self.get(f"/v1/DialingPermissions/Countries/{country}")
        return found.get("low_risk_numbers_enabled") is True

    def verified_numbers(self) -> list[str]:
        """Numbers that are not the account's, and may yet be called from."""
        found = self.all_of(self._path("OutgoingCallerIds"), "outgoing_caller_ids")
        return [read.text(item, "phone_number") for item in found]

    # Legs

    def ring(self, order: LegOrder, *, give_up_s: float, started: float) -> Accepted:
        """POST once, as `Provider.place` does: past `started + give_up_s` not sent, or unclear.

        The leg's sid is `provider_call_id`; '' when it was accepted and the body could not be read.
        """
        return self.ring_as_written(encode(order.fields()), give_up_s=give_up_s, started=started)

    def ring_as_written(self, body: bytes, *, give_up_s: float, started: float) -> Accepted:
        """As `ring`, of an order that was written down before."""
        self._check_usable()
        answer = self._api.send_once("POST", self._path("Calls"), body=body, deadline=started + give_up_s)
        if not 200 <= answer.status < 300:
            raise failure(whole(answer))
        try:
            found = read_object(answer)
        except Unclear:
            found = {}  # it rings; which one it is, a look-up or a callback tells
        return Accepted(
            provider_call_id=read.text(found, "sid"), body=answer.body, status=read.text(found, "status")
        )

    def leg(self, sid: str) -> read.Leg:
        return read.leg(self.get(self._path("Calls", sid)))

    def whole_call(self, sid: str) -> bytes:
        """A leg, the legs that its Dial rang and those that they rang, and what was recorded of it all, in
        Twilio's words, to be kept as a fact; `reading.look_facts` reads it. The same answers give the same
        bytes. The conference that they met in has the leg's sid as its name.
        """
        children = self.all_of(self._path("Calls"), "calls", ParentCallSid=sid)
        theirs = [read.text(child, "sid") for child in children]
        rooms = self.conferences(name=sid)
        found = {
            "leg": self.get(self._path("Calls", sid)),
            "children": children,
            "colleagues": [
                leg for one in theirs for leg in self.all_of(self._path("Calls"), "calls", ParentCallSid=one)
            ],
            "recordings": self._recordings_of("Calls", sid),
            "further": [
                *(item for one in theirs for item in self._recordings_of("Calls", one)),
                *(item for room in rooms for item in self._recordings_of("Conferences", room.sid)),
            ],
        }
        return json.dumps(found, sort_keys=True, separators=(",", ":")).encode()

    def _recordings_of(self, what: str, sid: str) -> list[dict[str, Any]]:
        return self.all_of(self._path(what, sid, "Recordings"), "recordings")

    def find_legs(
        self,
        *,
        to_number: str = "",
        from_number: str = "",
        parent_sid: str = "",
        status: str = "",
        since: datetime | None = None,
    ) -> list[read.Leg]:
        """Newest first. `since` counts in whole days (UTC), the finest Twilio's list knows."""
        given = {
            "To": to_number or None,
            "From": from_number or None,
            "ParentCallSid": parent_sid or None,
            "Status": status or None,
            "StartTime>": since.astimezone(UTC).date().isoformat() if since else None,
        }
        return [read.leg(item) for item in self.all_of(self._path("Calls"), "calls", **given)]

    def children(self, sid: str) -> list[read.Leg]:
        """The legs that a `<Dial>` of this one rang."""
        return self.find_legs(parent_sid=sid)

    def redirect(self, sid: str, *, twiml: str = "", url: str = "", repeat: bool = True) -> read.Leg:
        """What the leg hears and does from now on. Raises Over when it has ended. `repeat`: to begin anew is
        no harm.

        A leg in a `<Dial>` leaves it, and whoever it was connected with goes on alone: to hold or transfer,
        use a conference.
        """
        if bool(twiml) == bool(url) or len(twiml) > LONGEST_INLINE:
            raise ValueError("either TwiML of at most 4000 characters or its address")
        return read.leg(
            self.post(self._path("Calls", sid), {"Twiml": twiml or None, "Url": url or None}, repeat=repeat)
        )

    def hang_up(self, sid: str) -> bool:
        """Whatever it is doing. False: it was over, or is not known."""
        return self._over_is_fine(
            lambda: self.post(self._path("Calls", sid), {"Status": "completed"}, repeat=True)
        )

    def cancel(self, sid: str) -> bool:
        """Stop one that waits or rings; one that was answered goes on."""
        return self._over_is_fine(
            lambda: self.post(self._path("Calls", sid), {"Status": "canceled"}, repeat=True)
        )

    def _over_is_fine(self, do: Callable[[], object]) -> bool:
        try:
            do()
        except (Over, NotFound):
            return False
        return True

    # Conferences

    def conferences(self, *, name: str = "", status: str = "") -> list[read.Conference]:
        found = self.all_of(
            self._path("Conferences"), "conferences", FriendlyName=name or None, Status=status or None
        )
        return [read.conference(item) for item in found]

    def end_conference(self, sid: str) -> bool:
        return self._over_is_fine(
            lambda: self.post(self._path("Conferences", sid), {"Status": "completed"}, repeat=True)
        )

    def participants(self, conference: str) -> list[read.Participant]:
        """Those who are in it now. `conference` is its sid."""
        found = self.all_of(self._path("Conferences", conference, "Participants"), "participants")
        return [read.participant(item) for item in found]

    def invite(
        self,
        conference: str,
        *,
        to_number: str,
        from_number: str,
        label: str = "",
        status_callback: str = "",
        ring_s: int = 25,
        longest_s: int = 3600,
        ends_it: bool = False,
        more: Fields | None = None,
    ) -> read.Participant:
        """Ring somebody straight into a conference, by its sid or name. Sent once.

        `ends_it`: when this one leaves, it is over for all.
        """
        fields: Fields = {
            "To": to_number,
            "From": from_number,
            "Label": label or None,
            "StatusCallback": status_callback or None,
            "StatusCallbackEvent": PROGRESS if status_callback else None,
            "Timeout": ring_s,
            "TimeLimit": longest_s,
            "EarlyMedia": True,
            "EndConferenceOnExit": ends_it,
            **(more or {}),
        }
        return read.participant(self.post(self._path("Conferences", conference, "Participants"), fields))

    def change_participant(
        self,
        conference: str,
        leg: str,
        *,
        on_hold: bool | None = None,
        hold_url: str = "",
        muted: bool | None = None,
        announce_url: str = "",
        ends_it: bool | None = None,
    ) -> read.Participant:
        fields: Fields = {
            "Hold": on_hold,
            "HoldUrl": hold_url or None,
            "Muted": muted,
            "AnnounceUrl": announce_url or None,
            "EndConferenceOnExit": ends_it,
        }
        path = self._path("Conferences", conference, "Participants", leg)
        # An announcement made twice is heard twice.
        return read.participant(self.post(path, fields, repeat=not announce_url))

    def remove_participant(self, conference: str, leg: str) -> bool:
        """Out of the conference, and hung up unless its TwiML goes on."""
        return self._over_is_fine(
            lambda: self.delete(self._path("Conferences", conference, "Participants", leg))
        )

    # Recordings

    def record(self, leg: str, *, status_callback: str = "") -> read.Recording:
        """From now on, each side on its own channel. Raises Over."""
        fields: Fields = {
            "RecordingChannels": "dual",
            "RecordingStatusCallback": status_callback or None,
        }
        return read.recording(self.post(self._path("Calls", leg, "Recordings"), fields))

    def change_recording(
        self, leg: str, recording: str, status: Literal["in-progress", "paused", "stopped"]
    ) -> read.Recording:
        """`recording` may be "Twilio.CURRENT", the one that is on. Paused: silence is left out."""
        fields: Fields = {"Status": status, "PauseBehavior": "skip" if status == "paused" else None}
        return read.recording(
            self.post(self._path("Calls", leg, "Recordings", recording), fields, repeat=True)
        )

    def recordings(self, leg: str) -> list[read.Recording]:
        return [read.recording(item) for item in self._recordings_of("Calls", leg)]

    def recording_url(self, recording: str) -> str:
        """Where its MP3 is; accounts may demand our credentials there (`credentials`)."""
        return self._base + self._path("Recordings", recording).removesuffix(".json") + ".mp3"

    def credentials(self) -> dict[str, str]:
        """The header that proves who asks, for nobody but Twilio."""
        return dict(self._headers)

    def recording_audio(self, recording: str) -> bytes:
        """MP3. Fetched with our credentials, as accounts may demand."""
        return self._ask("GET", self._path("Recordings", recording).removesuffix(".json") + ".mp3").body

    def delete_recording(self, recording: str) -> None:
        self._over_is_fine(lambda: self.delete(self._path("Recordings", recording)))

    # The wire

    def _path(self, *parts: str) -> str:
        """Raises ValueError for an id that would be another path."""
        for part in parts:
            if not PATH_SAFE.fullmatch(part):
                raise ValueError(f"no id of Twilio's: {part!r}")
        return f"/2010-04-01/Accounts/{self.account_sid}/" + "/".join(quote(part) for part in parts) + ".json"

    def sip_path(self, *parts: str) -> str:
        return self._path("SIP", *parts)

    def get(self, path: str, **params: str | None) -> dict[str, Any]:
        return read_object(self._ask("GET", path, params=params))

    def post(self, path: str, fields: Fields, *, repeat: bool = False) -> dict[str, Any]:
        """`repeat`: done twice it is as done once."""
        return read_object(self._ask("POST", path, body=encode(fields), repeat=repeat))

    def delete(self, path: str) -> None:
        """Raises NotFound, also when a repeat finds that the first request had done it."""
        self._ask("DELETE", path)

    def all_of(self, path: str, key: str, **params: str | None) -> list[dict[str, Any]]:
        """Every page of a list whose items stand under `key`."""
        return list(self._pages(path, key, params))

    def _pages(self, path: str, key: str, params: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
        given: Mapping[str, str | None] = {**params, "PageSize": str(PAGE_SIZE)}
        for _page in range(MOST_PAGES):
            page = read_object(self._ask("GET", path, params=given))
            yield from (item for item in page.get(key) or [] if isinstance(item, dict))
            meta = page.get("meta")
            following = page.get("next_page_uri") or (
                meta.get("next_page_url") if isinstance(meta, dict) else None
            )
            if not following:
                return
            # Never to another host: our credentials go with it.
            path, given = urlsplit(str(following))._replace(scheme="", netloc="").geturl(), {}

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str | None] | None = None,
        repeat: bool = True,
    ) -> Answer:
        self._check_usable()
        client = self._client_for(path)
        given = {name: value for name, value in (params or {}).items() if value is not None}
        answer = client.ask(method, path, body=body, params=given or None, repeat=repeat)
        if not 200 <= answer.status < 300:
            raise failure(answer)
        return answer

    def _client_for(self, path: str) -> HttpClient:
        """Each product has a host of its own."""
        if path.startswith("/v1/DialingPermissions"):
            return self._voice
        return self._trunking if path.startswith("/v1/") else self._api

    def _check_usable(self) -> None:
        if not self._usable:
            raise Refused(
                _(
                    "Twilio cannot be asked: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN as its console "
                    "shows them."
                ),
                scope=RefusalScope.ACCOUNT,
                code="authentication",
            )
