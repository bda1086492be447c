"""Every way in which webhooks are signed, side by side: none is ever taken for another."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from agents.providers import retell_article_signature, retell_signature
from agents.providers.base import BadSignature
from calls.models import WebhookEvent
from tests.any_text import ANY_SIGN
from tests.conftest import API_KEY, TWILIO_SID, TWILIO_TOKEN, WEBHOOK_SECRET
from tests.far_end import theirs

DOOR = "/webhook/retell"
BODY = json.dumps({"event": "call_ended", "call": theirs("call_1") | {"transcript": "¿Qué tal? 😀"}}).encode()
HEADER = "x-retell-signature"


class SignatureCase:
    """What must hold of every scheme. A scheme is a contract, its setting and how it signs."""

    contract = ""
    setting = ""
    key = ""
    other: type[SignatureCase]
    body = BODY
    kept, refusal = 200, 401
    stale_cause = ""
    """'' where the scheme has no time: a repeat then collides instead."""

    @pytest.fixture(autouse=True)
    def _speaks(self, settings: LazySettings, db: None) -> None:
        settings.RETELL_CONTRACT = self.contract

    @staticmethod
    def sign(body: bytes, key: str, *, age: timedelta = timedelta(0)) -> str:
        raise NotImplementedError

    @staticmethod
    def other_letters(signature: str) -> str:
        return signature.upper()

    def post(self, client: Client, signature: str | None, body: bytes | None = None) -> Any:
        body = self.body if body is None else body
        headers = {} if signature is None else {HEADER: signature}
        return client.generic("POST", DOOR, body, content_type="application/json", headers=headers)

    def refused(self, client: Client, signature: str | None, body: bytes | None = None) -> str:
        answer = self.post(client, signature, body)
        assert answer.status_code == self.refusal
        assert not WebhookEvent.objects.exists()
        return str(answer.json()["code"])

    def test_a_good_signature_is_accepted_and_the_bytes_are_kept(self, client: Client) -> None:
        assert self.post(client, self.sign(self.body, self.key)).status_code == self.kept
        event = WebhookEvent.objects.get()
        assert (bytes(event.body), event.contract) == (self.body, self.contract)

    def test_another_key_is_refused(self, client: Client) -> None:
        assert self.refused(client, self.sign(self.body, "key_of_somebody_else")) == "wrong"

    def test_a_changed_body_is_refused(self, client: Client) -> None:
        changed = self.body.replace(b"call_1", b"call_2")
        assert self.refused(client, self.sign(self.body, self.key), changed) == "wrong"

    def test_no_signature_is_refused(self, client: Client) -> None:
        assert self.refused(client, None) == "missing"
        assert self.refused(client, "") == "missing"

    def test_something_else_in_its_place_is_refused(self, client: Client) -> None:
        assert self.refused(client, "nonsense") == "malformed"
        assert self.refused(client, self.other_letters(self.sign(self.body, self.key))) == "malformed"

    def test_the_other_contracts_signature_is_refused_under_either_key(self, client: Client) -> None:
        for key in (self.key, self.other.key):
            assert self.refused(client, self.other.sign(self.body, key)) == "malformed"

    def test_the_other_contracts_key_is_refused(self, client: Client) -> None:
        assert self.refused(client, self.sign(self.body, self.other.key)) == "wrong"

    def test_without_a_key_nothing_is_accepted(self, client: Client, settings: LazySettings) -> None:
        for none in ([], [""]):
            setattr(settings, self.setting, none)
            assert self.refused(client, self.sign(self.body, "")) == "wrong"

    def test_both_keys_of_a_rotation_hold_and_then_only_the_new_one(
        self, client: Client, settings: LazySettings
    ) -> None:
        setattr(settings, self.setting, ["new", "old"])
        for key in ("old", "new"):
            assert self.post(client, self.sign(self.body, key)).status_code == self.kept
        setattr(settings, self.setting, ["new"])
        assert self.post(client, self.sign(self.body, "new")).status_code == self.kept
        assert self.post(client, self.sign(self.body, "old")).status_code == self.refusal

    def test_the_same_again_is_answered_200_and_adds_nothing(self, client: Client) -> None:
        for _ in range(3):
            assert self.post(client, self.sign(self.body, self.key)).status_code == self.kept
        assert WebhookEvent.objects.count() == 1

    def test_an_old_signature_is_refused_or_its_repeat_adds_nothing(self, client: Client) -> None:
        old = self.sign(self.body, self.key, age=timedelta(minutes=6))
        if self.stale_cause:
            assert self.refused(client, old) == self.stale_cause
            return
        assert self.post(client, old).status_code == self.kept
        assert self.post(client, old).status_code == self.kept
        assert WebhookEvent.objects.count() == 1


class TestTodaysContract(SignatureCase):
    contract = "current"
    setting = "RETELL_WEBHOOK_KEYS"
    key = API_KEY
    stale_cause = "stale"

    @staticmethod
    def sign(body: bytes, key: str, *, age: timedelta = timedelta(0)) -> str:
        return retell_signature.sign(body, key, now=timezone.now() - age)


class TestTheArticlesContract(SignatureCase):
    contract = "article"
    setting = "RETELL_WEBHOOK_SECRETS"
    key = WEBHOOK_SECRET
    other = TestTodaysContract

    @staticmethod
    def sign(body: bytes, key: str, *, age: timedelta = timedelta(0)) -> str:
        return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()

    def test_the_body_written_anew_without_white_space_may_have_been_signed(self, client: Client) -> None:
        spaced = json.dumps({"event": "call_ended", "call_id": "call 7", "n": 1.50}, indent=2).encode()
        compact = b'{"event":"call_ended","call_id":"call 7","n":1.5}'
        assert self.post(client, self.sign(compact, self.key), spaced).status_code == 200
        assert bytes(WebhookEvent.objects.get().body) == spaced

    def test_a_repeat_with_other_white_space_adds_nothing(self, client: Client) -> None:
        compact = b'{"event":"call_ended","call_id":"call_7"}'
        signature = self.sign(compact, self.key)
        for body in (compact, compact.replace(b",", b" ,\n"), b"\t" + compact):
            assert self.post(client, signature, body).status_code == 200
        assert WebhookEvent.objects.count() == 1

    @pytest.mark.parametrize(
        "changed",
        [
            b'{"event":"call_ended","call_id":"call_7","call_duration":1 2}',
            b'{"event":"call_ended","call_id":"call _7","call_duration":12}',
            b'{"call_id":"call_7","event":"call_ended","call_duration":12}',
            b'{"event":"call_ended","call_id":"call_7","call_duration":12.0}',
            b'{"event":"call_ended","call_id":"call\\u005f7","call_duration":12}',
        ],
        ids=["inside a number", "inside a string", "other order", "other number", "other letters"],
    )
    def test_any_other_difference_is_refused(self, client: Client, changed: bytes) -> None:
        compact = b'{"event":"call_ended","call_id":"call_7","call_duration":12}'
        assert self.refused(client, self.sign(compact, self.key), changed) == "wrong"


class TestTwilio(SignatureCase):
    contract = "twilio"
    setting = "TWILIO_AUTH_TOKENS"
    key = TWILIO_TOKEN
    other = TestTodaysContract
    door = "/webhook/twilio/status?n=1"
    body = urlencode(
        {"CallSid": "call_1", "AccountSid": TWILIO_SID, "CallStatus": "ringing", "To": "+14155550101"}
    ).encode()
    kept, refusal = 204, 403

    @pytest.fixture(autouse=True)
    def _speaks(self, settings: LazySettings, db: None) -> None:
        settings.PUBLIC_BASE_URL = "https://calls.example.com"

    @classmethod
    def sign(cls, body: bytes, key: str, *, age: timedelta = timedelta(0)) -> str:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        return RequestValidator(key).compute_signature("https://calls.example.com" + cls.door, fields)

    @staticmethod
    def other_letters(signature: str) -> str:
        return signature.replace("=", "-")

    def post(self, client: Client, signature: str | None, body: bytes | None = None, **more: str) -> Any:
        headers = {} if signature is None else {"X-Twilio-Signature": signature}
        return client.generic(
            "POST",
            more.pop("door", self.door),
            self.body if body is None else body,
            content_type="application/x-www-form-urlencoded",
            headers={"I-Twilio-Idempotency-Token": "token-1", **headers, **more},
        )

    def test_retells_door_takes_no_signature_of_twilios(self, client: Client, settings: LazySettings) -> None:
        for contract in (TestTodaysContract, TestTheArticlesContract):
            settings.RETELL_CONTRACT = contract.contract
            answer = client.generic(
                "POST", DOOR, BODY, "application/json", headers={HEADER: self.sign(self.body, contract.key)}
            )
            assert (answer.status_code, answer.json()["code"]) == (401, "malformed")

    def test_it_is_over_the_address_that_twilio_was_given_whatever_the_proxy_says(
        self, client: Client
    ) -> None:
        good = self.sign(self.body, self.key)
        moved = {"X-Forwarded-Host": "elsewhere.example", "X-Forwarded-Proto": "http"}
        assert self.post(client, good, **moved).status_code == 204
        for door in (
            "/webhook/twilio/status?n=2",
            "/webhook/twilio/status",
            "/webhook/twilio/voice/sorry?n=1",
        ):
            assert self.post(client, good, door=door).status_code == 403
        assert WebhookEvent.objects.count() == 1

    def test_a_repeat_is_known_by_its_token_and_another_body_under_it_is_kept(self, client: Client) -> None:
        other = self.body.replace(b"ringing", b"completed")
        for body in (self.body, other, self.body, other):
            assert self.post(client, self.sign(body, self.key), body).status_code == 204
        assert WebhookEvent.objects.count() == 2

    def test_another_account_is_refused_although_the_token_fits(self, client: Client) -> None:
        other = self.body.replace(TWILIO_SID.encode(), b"AC" + b"f" * 32)
        assert self.refused(client, self.sign(other, self.key), other) == "wrong"

    def test_json_is_taken_by_its_hash_alone(self, client: Client) -> None:
        body = b'{"CallSid": "CA1"}'
        door = "/webhook/twilio/status?bodySHA256=" + hashlib.sha256(body).hexdigest()
        signature = RequestValidator(self.key).compute_signature("https://calls.example.com" + door, {})

        def post(door: str, body: bytes) -> int:
            headers = {"X-Twilio-Signature": signature}
            return client.generic("POST", door, body, "application/json", headers=headers).status_code

        assert post(door, body) == 204
        assert post(door, body + b" ") == 403
        assert post("/webhook/twilio/status", body) == 403

    def test_a_shared_key_signs_under_its_name(self, client: Client, settings: LazySettings) -> None:
        settings.TWILIO_SHARED_KEYS = ["wk_1:shared"]
        fields = dict(parse_qsl(self.body.decode()))
        url = "https://calls.example.com" + self.door
        strong = RequestValidator("shared").compute_signature(url, fields, "HMAC_SHA256")
        named = "X-Twilio-Webhooks-Signature-Settings"
        for settings_header, status in (("key=wk_2,algorithm=HMAC_SHA256", 403), ("", 403),
                                        ("key=wk_1,algorithm=HMAC_SHA256", 204)):  # fmt: skip
            assert self.post(client, strong, **{named: settings_header}).status_code == status


TestTodaysContract.other = TestTheArticlesContract

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(ANY_SIGN),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(ANY_SIGN), inner),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 0, 3]), st.booleans())
def test_leaving_out_white_space_leaves_every_value_as_it_was(
    value: Any, indent: int | None, plain: bool
) -> None:
    spaced = json.dumps(value, indent=indent, ensure_ascii=plain).encode(errors="surrogatepass")
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=plain).encode(errors="surrogatepass")
    assert retell_article_signature.without_white_space(spaced) == compact


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_body_that_was_not_signed_never_passes(signed: bytes, sent: bytes) -> None:
    signature = retell_article_signature.digest(signed, "s")
    try:
        retell_article_signature.verify(sent, signature, secrets=["s"])
    except BadSignature:
        assert sent != signed
    else:
        assert retell_article_signature.without_white_space(sent) in (
            signed,
            retell_article_signature.without_white_space(signed),
        )
