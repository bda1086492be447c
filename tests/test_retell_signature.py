"""Our check of Retell's webhook signature and the one in Retell's own library agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retell.lib import webhook_auth

from agents.providers import retell_signature
from agents.providers.base import BadSignature
from tests.any_text import ANY_SIGN

KEY = "key_test_0123456789abcdef"
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp()) * 1000
BODIES = {
    "plain": '{"event":"call_ended","call":{"call_id":"call_1"}}',
    "accents": '{"event":"call_ended","call":{"transcript":"Agent: ¿Qué tal, Zoë?"}}',
    "emoji": '{"event":"call_ended","call":{"transcript":"User: 👍🏽 فقط"}}',
    "NUL": '{"event":"call_ended","call":{"transcript":"a\x00b \\u0000"}}',
    "empty": "",
}


def theirs(body: str, signature: str, *, key: str = KEY, now_ms: int = NOW_MS) -> bool:
    return bool(webhook_auth.symmetric["verify"](body, key, signature, {"timestamp": now_ms}))


def cause(body: str, signature: str | None, *, keys: tuple[str, ...] = (KEY,), now: datetime = NOW) -> str:
    """Our verdict: '' when the signature holds, else why not."""
    try:
        retell_signature.verify(body.encode(), signature, keys=keys, now=now)
    except BadSignature as error:
        return error.cause_code
    return ""


def signed(body: str, *, at_ms: int = NOW_MS, key: str = KEY) -> str:
    return str(webhook_auth.symmetric["sign"](body, key, at_ms))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_signature_made_by_retells_library_holds(body: str) -> None:
    assert theirs(body, signed(body))
    assert cause(body, signed(body)) == ""


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_signature_made_by_us_holds_for_retells_library(body: str) -> None:
    signature = retell_signature.sign(body.encode(), KEY, now=NOW)
    assert signature == signed(body)
    assert theirs(body, signature)


def test_the_published_vector_holds() -> None:
    body = '{"event":"call_ended","call":{"call_id":"call_abc","transcript":"Agent: ¿Qué tal?"}}'
    digest = "ceb690de3ddacee488c6dbc0942647f4973eb2dae42a11117630eeaaf701d384"
    at = datetime(2024, 5, 2, 0, 8, 11, 736000, tzinfo=UTC)
    assert retell_signature.to_ms(at) == 1714608491736
    assert cause(body, f"v=1714608491736,d={digest}", now=at) == ""


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_changed_body_is_wrong(body: str) -> None:
    assert not theirs(body + " ", signed(body))
    assert cause(body + " ", signed(body)) == "wrong"


def test_another_key_is_wrong() -> None:
    signature = signed(BODIES["plain"], key="key_other")
    assert not theirs(BODIES["plain"], signature)
    assert cause(BODIES["plain"], signature) == "wrong"


@pytest.mark.parametrize(
    ("offset_ms", "expected"),
    [
        (-300_001, "stale"),
        (-300_000, ""),
        (-299_999, ""),
        (0, ""),
        (299_999, ""),
        (300_000, ""),
        (300_001, "stale"),
    ],
)
def test_five_minutes_either_way_are_fresh(offset_ms: int, expected: str) -> None:
    signature = signed(BODIES["plain"], at_ms=NOW_MS + offset_ms)
    assert theirs(BODIES["plain"], signature) is (expected == "")
    assert cause(BODIES["plain"], signature) == expected


def test_a_stale_signature_of_another_key_is_called_stale() -> None:
    signature = signed(BODIES["plain"], at_ms=NOW_MS - 400_000, key="key_other")
    assert cause(BODIES["plain"], signature) == "stale"


GOOD = f"v={NOW_MS},d=" + "ab" * 32


@pytest.mark.parametrize(
    "signature",
    [
        "nonsense",
        "ab" * 32,
        GOOD.upper(),
        f"v={NOW_MS},d=" + "AB" * 32,
        f"v={NOW_MS},d=" + "ab" * 31,
        f"v={NOW_MS},d=" + "ab" * 33,
        f"v={NOW_MS}, d=" + "ab" * 32,
        f"v=-{NOW_MS},d=" + "ab" * 32,
        "v=,d=" + "ab" * 32,
        "d=" + "ab" * 32 + f",v={NOW_MS}",
        " " + GOOD,
        GOOD + "\n",
        GOOD + ",x=1",
        f"v={NOW_MS}.5,d=" + "ab" * 32,
    ],
)
def test_any_other_form_is_malformed(signature: str) -> None:
    assert not theirs(BODIES["plain"], signature)
    assert cause(BODIES["plain"], signature) == "malformed"


def test_an_upper_case_digest_is_malformed_even_when_right() -> None:
    stamp, digest = signed(BODIES["plain"]).split(",d=")
    signature = f"{stamp},d={digest.upper()}"
    assert not theirs(BODIES["plain"], signature)
    assert cause(BODIES["plain"], signature) == "malformed"


def test_leading_zeros_of_the_time_are_read_as_retells_library_reads_them() -> None:
    signature = signed(BODIES["plain"]).replace("v=", "v=00")
    assert theirs(BODIES["plain"], signature)
    assert cause(BODIES["plain"], signature) == ""


@pytest.mark.parametrize("signature", [None, ""])
def test_no_header_is_missing(signature: str | None) -> None:
    assert cause(BODIES["plain"], signature) == "missing"


def test_a_time_too_long_to_be_a_number_is_malformed() -> None:
    assert cause(BODIES["plain"], "v=" + "9" * 5000 + ",d=" + "ab" * 32) == "malformed"


def test_both_keys_hold_while_rotating() -> None:
    old, new = "key_old", "key_new"
    for key in (old, new):
        assert cause(BODIES["emoji"], signed(BODIES["emoji"], key=key), keys=(new, old)) == ""
    assert cause(BODIES["emoji"], signed(BODIES["emoji"], key="key_third"), keys=(new, old)) == "wrong"


def test_without_any_key_nothing_holds() -> None:
    assert cause(BODIES["plain"], signed(BODIES["plain"]), keys=()) == "wrong"


def test_a_plain_digest_of_the_body_is_no_signature_of_todays_contract() -> None:
    """The scheme without a time could be replayed for ever: never fallen back to."""
    digest = retell_signature.digest(BODIES["plain"].encode(), KEY, 0)
    assert cause(BODIES["plain"], digest) == "malformed"


@given(
    body=st.text(ANY_SIGN),
    key=st.text(ANY_SIGN, min_size=1),
    offset_ms=st.integers(-600_000, 600_000),
)
def test_good_or_stale_we_agree_on_any_text(body: str, key: str, offset_ms: int) -> None:
    signature = signed(body, at_ms=NOW_MS + offset_ms, key=key)
    assert theirs(body, signature, key=key) is (cause(body, signature, keys=(key,)) == "")


@given(
    signature=st.from_regex(r"v=[0-9]{0,15},? ?d=[0-9a-fA-F]{62,66}\n?", fullmatch=True)
    | st.text(st.characters(max_codepoint=0xFF), min_size=1)
)
def test_whatever_the_header_holds_we_agree(signature: str) -> None:
    assert theirs("{}", signature) is (cause("{}", signature) == "")


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_milliseconds_are_cut_not_rounded(moment: datetime) -> None:
    ms = retell_signature.to_ms(moment)
    assert (
        timedelta(0)
        <= moment - (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
        < (timedelta(milliseconds=1))
    )
