"""What Twilio signed, by the vectors of its own package and by that package's validator."""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from agents.providers.base import BadSignature
from agents.providers.twilio.signature import FORM, Arrived, Form, sign, verify

pytestmark = pytest.mark.one_engine

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FIELDS = [
    ("CallSid", "CA1234567890ABCDE"), ("Digits", "1234"), ("From", "+14158675309"), ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]  # fmt: skip
JSON = b'{"property": "value", "boolean": true}'
HASHED = URL + "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"


def arrived(
    signature: str,
    *,
    url: str = URL,
    body: bytes | None = None,
    kind: str = FORM,
    settings: str = "",
) -> Arrived:
    return Arrived(
        url=url,
        body=urlencode(FIELDS).encode() if body is None else body,
        content_type=kind,
        signature=signature,
        settings=settings,
    )


def refused(request: Arrived, *, tokens: tuple[str, ...] = (TOKEN,), **more: dict[str, str]) -> str:
    with pytest.raises(BadSignature) as caught:
        verify(request, tokens=tokens, **more)
    return caught.value.cause_code


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (URL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (URL.replace(".com/", ".com:443/"), "kvajT1Ptam85bY51eRf/AJRuM3w="),
        (URL.replace("https", "http").replace(".com/", ".com:80/"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        (URL.replace("https", "http").replace(".com/", ".com:1234/"), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
    ],
    ids=["plain", "443", "80", "1234", "signed with a port that we do not see"],
)
def test_the_packages_own_vectors_are_accepted(url: str, signature: str) -> None:
    assert verify(arrived(signature, url=url), tokens=[TOKEN]).first("Digits") == "1234"


def test_repeated_fields_are_signed_once_each_and_all_kept() -> None:
    body = urlencode([("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"),
                      ("Digits", "1234")]).encode()  # fmt: skip
    form = verify(arrived("IK+Dwps556ElfBT0I3Rgjkr1wJU=", body=body), tokens=[TOKEN])
    assert form["Digits"] == ["5678", "1234", "1234"]


def test_json_is_accepted_by_the_hash_in_its_address() -> None:
    good = arrived("a9nBmqA0ju/hNViExpshrM61xv4=", url=HASHED, body=JSON, kind="application/json")
    assert verify(good, tokens=[TOKEN]) == {}
    assert refused(arrived(good.signature, url=HASHED, body=JSON + b" ", kind="application/json")) == "wrong"


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "multipart/form-data; boundary=x"])
def test_a_body_whose_hash_is_not_in_the_address_is_refused_though_that_was_signed(kind: str) -> None:
    signature = RequestValidator(TOKEN).compute_signature(URL, {})
    assert refused(arrived(signature, body=JSON, kind=kind)) == "wrong"


def test_two_hashes_in_the_address_are_refused() -> None:
    twice = HASHED + "&bodySHA256=" + hashlib.sha256(b"other").hexdigest()
    signature = RequestValidator(TOKEN).compute_signature(twice, {})
    assert refused(arrived(signature, url=twice, body=JSON, kind="application/json")) == "wrong"


def test_a_form_called_json_and_json_called_a_form_are_refused() -> None:
    signature = sign(URL, dict(FIELDS), TOKEN)
    assert refused(arrived(signature, kind="application/json")) == "wrong"
    assert refused(arrived("a9nBmqA0ju/hNViExpshrM61xv4=", url=HASHED, body=b"a=1")) == "wrong"


def test_a_shared_key_is_taken_only_under_its_name_and_its_own_way() -> None:
    body = urlencode(FIELDS).encode()
    form = Form({name: [value] for name, value in FIELDS})
    strong = RequestValidator("shared").compute_signature(URL, form, "HMAC_SHA256")
    named = "key=wk_1,algorithm=HMAC_SHA256"
    keys = {"wk_1": "shared", "wk_2": "other"}
    assert verify(arrived(strong, body=body, settings=named), tokens=[TOKEN], shared_keys=keys)
    assert refused(arrived(strong, settings=named.replace("wk_1", "wk_2")), shared_keys=keys) == "wrong"
    assert refused(arrived(strong, settings=named.replace("wk_1", "wk_9")), shared_keys=keys) == "wrong"
    assert refused(arrived(strong, settings=named), shared_keys={}) == "wrong"
    assert refused(arrived(strong), shared_keys=keys) == "malformed"


@pytest.mark.parametrize(
    "settings",
    [
        "key=wk_1,algorithm=HMAC_SHA1",
        "key=wk_1",
        "algorithm=HMAC_SHA256",
        "key=wk_1,algorithm=NONE",
        "x" * 400,
        "key=wk_1,key=wk_2,algorithm=HMAC_SHA256",
    ],
)
def test_settings_that_ask_for_another_way_are_refused(settings: str) -> None:
    weak = RequestValidator("shared").compute_signature(URL, dict(FIELDS))
    cause = refused(arrived(weak, settings=settings), shared_keys={"wk_1": "shared", "wk_2": "shared"})
    assert cause == "malformed"


def test_the_token_never_signs_in_the_place_of_a_shared_key() -> None:
    strong = RequestValidator(TOKEN).compute_signature(URL, dict(FIELDS), "HMAC_SHA256")
    named = "key=wk_1,algorithm=HMAC_SHA256"
    assert refused(arrived(strong, settings=named), shared_keys={"wk_1": "shared"}) == "wrong"


def test_an_address_that_cannot_be_read_is_refused_and_nothing_raises() -> None:
    assert refused(arrived(sign(URL, dict(FIELDS), TOKEN), url="https://x:port/")) == "wrong"


def test_a_form_that_cannot_be_read_is_refused() -> None:
    assert refused(arrived("A" * 27 + "=", body=b"\xff\xfe=1")) == "malformed"
    assert refused(arrived("A" * 27 + "=", body=b"&".join([b"a=1"] * 1001))) == "malformed"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FORMS = st.lists(st.tuples(TEXT, TEXT), max_size=6)


@given(FORMS)
def test_whatever_the_package_signs_is_accepted(fields: list[tuple[str, str]]) -> None:
    form = Form()
    for name, value in fields:
        form.setdefault(name, []).append(value)
    signature = RequestValidator(TOKEN).compute_signature(URL, form)
    body = urlencode(fields).encode()
    assert verify(arrived(signature, body=body), tokens=["other", TOKEN]) == form


@given(FORMS, FORMS, st.sampled_from([URL, URL + "3", URL.replace("https", "http")]))
def test_other_fields_or_another_address_are_refused(
    signed: list[tuple[str, str]], sent: list[tuple[str, str]], url: str
) -> None:
    form = Form()
    for name, value in signed:
        form.setdefault(name, []).append(value)
    signature = RequestValidator(TOKEN).compute_signature(URL, form)

    def as_signed(fields: list[tuple[str, str]]) -> str:
        by_name: dict[str, set[str]] = {}
        for name, value in fields:
            by_name.setdefault(name, set()).add(value)
        return "".join(name + value for name in sorted(by_name) for value in sorted(by_name[name]))

    same = url == URL and as_signed(signed) == as_signed(sent)
    try:
        verify(arrived(signature, url=url, body=urlencode(sent).encode()), tokens=[TOKEN])
    except BadSignature:
        assert not same
    else:
        assert same
