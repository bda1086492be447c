"""Twilio's official client, builder and validator judge the sandbox's side of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client
from twilio.twiml.voice_response import VoiceResponse
from twilio_wire import (
    BUSY,
    HANGS_UP,
    INVALID,
    LEAD,
    MAILBOX,
    NEVER_CALL,
    NOBODY,
    OURS,
    STAFF,
    Answerer,
    official,
)
from webhook_receiver import eventually

from agents.sandbox.server import Sandbox
from agents.sandbox.twilio.contract import FIXED_TOKEN

pytestmark = pytest.mark.one_engine

EVERYTHING = ["initiated", "ringing", "answered", "completed"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(speed=400, seed=7) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Client:
    return official(sandbox.url)


@pytest.fixture
def web() -> Iterator[Answerer]:
    with Answerer() as web:
        yield web


def said(text: str) -> str:
    response = VoiceResponse()
    response.say(text)
    return str(response)


def ring(client: Client, to: str = STAFF, **more: Any) -> str:
    given = {"twiml": said("Hello."), "from_": OURS, "to": to, **more}
    if "url" in given:
        del given["twiml"]
    return client.calls.create(**given).sid


def ended(client: Client, sid: str) -> Any:
    return eventually(lambda: (call := client.calls(sid).fetch()).end_time and call)


def leg(sandbox: Sandbox, sid: str) -> dict[str, Any]:
    book = httpx.get(sandbox.url + "/control/ledger/twilio").json()["legs"]
    return next(item for item in book if item["sid"] == sid)


def test_a_call_is_rung_answered_and_ends_with_its_times_and_its_price(client: Client) -> None:
    call = ended(client, ring(client))
    assert (call.status, call.direction, call.to) == ("completed", "outbound-api", STAFF)
    assert int(call.duration) >= 1
    assert float(call.price) < 0
    assert call.start_time <= call.end_time


@pytest.mark.parametrize(
    ("to", "status"), [(BUSY, "busy"), (NOBODY, "no-answer"), (INVALID, "failed"), ("+14155550110", "busy")]
)
def test_a_telephone_that_nobody_picks_up_ends_in_twilios_words(client: Client, to: str, status: str) -> None:
    call = ended(client, ring(client, to, timeout=60))
    assert call.status == status
    assert call.start_time is None


def test_who_rings_out_is_no_answer_after_the_seconds_that_were_given(client: Client) -> None:
    assert ended(client, ring(client, MAILBOX, timeout=5)).status == "no-answer"


def test_every_status_is_told_signed_in_order_with_a_token(
    sandbox: Sandbox, client: Client, web: Answerer
) -> None:
    sid = ring(client, status_callback=web.url + "/status", status_callback_event=EVERYTHING)
    told = eventually(lambda: len(found := web.at("/status")) == 4 and found)
    told.sort(key=lambda one: int(one.fields["SequenceNumber"]))
    assert [one.fields["CallStatus"] for one in told] == ["initiated", "ringing", "in-progress", "completed"]
    assert {one.fields["CallSid"] for one in told} == {sid}
    assert int(told[-1].fields["CallDuration"]) >= 1
    assert len({one.token for one in told}) == 4
    assert web.signed_by(FIXED_TOKEN)
    assert not web.signed_by("another")


def test_only_the_events_asked_for_are_told(client: Client, web: Answerer) -> None:
    sid = ring(client, BUSY, status_callback=web.url + "/status")
    ended(client, sid)
    (told,) = eventually(lambda: web.at("/status"))
    assert (told.fields["CallStatus"], told.fields["SequenceNumber"]) == ("busy", "0")
    assert told.fields["SipResponseCode"] == "486"


def bridge(web: Answerer, to: str = LEAD, **more: Any) -> str:
    """Press 1 to be connected: `/keys` decides, `/after` is asked when the two have talked."""
    response = VoiceResponse()
    gather = response.gather(
        num_digits=1, action=web.url + "/keys", input="dtmf", timeout=5, action_on_empty_result=True
    )
    gather.say("Press 1 to be connected.")
    connected = VoiceResponse()
    dial = connected.dial(caller_id=OURS, action=web.url + "/after", timeout=30, **more)
    dial.number(
        to, status_callback=web.url + "/child", status_callback_event="initiated ringing answered completed"
    )
    web.answers["/start"] = str(response)
    web.answers["/keys"] = lambda told: str(connected) if told.fields["Digits"] == "1" else said("Goodbye.")
    web.answers["/after"] = str(VoiceResponse())
    return web.url + "/start"


def test_a_person_presses_one_and_is_connected_until_the_other_hangs_up(
    sandbox: Sandbox, client: Client, web: Answerer
) -> None:
    sid = ring(client, url=bridge(web, record="record-from-answer-dual"))
    call = ended(client, sid)
    (after,) = web.at("/after")
    assert (after.fields["DialCallStatus"], after.fields["DialBridged"]) == ("completed", "true")
    (child,) = client.calls.list(parent_call_sid=sid)
    assert (child.to, child.status, child.direction) == (LEAD, "completed", "outbound-dial")
    assert int(child.duration) > 5
    assert call.status == "completed"
    assert leg(sandbox, sid)["pressed"] == ["1"]
    assert {told.fields["ParentCallSid"] for told in eventually(lambda: web.at("/child"))} == {sid}
    (recording,) = client.calls(sid).recordings.list()
    assert (recording.status, recording.channels, recording.source) == ("completed", 2, "DialVerb")
    assert web.signed_by(FIXED_TOKEN)


def test_a_mailbox_presses_nothing_and_nobody_is_dialled(
    sandbox: Sandbox, client: Client, web: Answerer
) -> None:
    sid = ring(client, MAILBOX, url=bridge(web))
    ended(client, sid)
    assert [told.fields["Digits"] for told in web.at("/keys")] == [""]
    assert client.calls.list(parent_call_sid=sid) == []


def test_what_a_person_presses_can_be_told_beforehand(
    sandbox: Sandbox, client: Client, web: Answerer
) -> None:
    sandbox.control("twilio/keys", number=STAFF, digits=["", "7"])
    web.answers["/keys"] = lambda told: (
        str(VoiceResponse()) if told.fields["Digits"] == "7" else web.answers["/start"]
    )
    start = VoiceResponse()
    start.gather(num_digits=1, action=web.url + "/keys", action_on_empty_result=True).say("Press 1.")
    web.answers["/start"] = str(start)
    ended(client, ring(client, url=web.url + "/start"))
    assert [told.fields["Digits"] for told in web.at("/keys")] == ["", "7"]


def test_who_never_wants_to_be_called_presses_the_key_that_says_so(client: Client, web: Answerer) -> None:
    start = VoiceResponse()
    start.gather(num_digits=1, action=web.url + "/keys").say(
        "For sales, press 1. To never hear of us, press 9."
    )
    web.answers["/start"] = str(start)
    web.answers["/keys"] = str(VoiceResponse())
    ended(client, ring(client, NEVER_CALL, url=web.url + "/start"))
    assert [told.fields["Digits"] for told in web.at("/keys")] == ["9"]


def test_who_cannot_be_reached_is_told_to_the_action(client: Client, web: Answerer) -> None:
    ended(client, ring(client, url=bridge(web, BUSY)))
    assert [told.fields["DialCallStatus"] for told in web.at("/after")] == ["busy"]


def test_a_machine_is_told_before_the_document_or_meanwhile(client: Client, web: Answerer) -> None:
    web.answers["/start"] = said("Hello.")
    ended(client, ring(client, MAILBOX, url=web.url + "/start", machine_detection="Enable"))
    assert web.at("/start")[0].fields["AnsweredBy"] == "machine_start"
    response = VoiceResponse()
    response.pause(length=30)
    sid = ring(
        client,
        MAILBOX,
        twiml=str(response),
        machine_detection="DetectMessageEnd",
        async_amd="true",
        async_amd_status_callback=web.url + "/amd",
    )
    (told,) = eventually(lambda: web.at("/amd"))
    assert (told.fields["AnsweredBy"], told.fields["CallSid"]) == ("machine_end_beep", sid)
    assert ended(client, sid).answered_by == "machine_end_beep"


def test_a_live_call_is_redirected_hung_up_and_then_over(
    sandbox: Sandbox, client: Client, web: Answerer
) -> None:
    waiting = VoiceResponse()
    waiting.pause(length=600)
    sid = ring(client, twiml=str(waiting))
    eventually(lambda: client.calls(sid).fetch().status == "in-progress")
    client.calls(sid).update(twiml=str(waiting).replace("<Pause", "<Say>Now this.</Say><Pause"))
    eventually(lambda: "Now this." in leg(sandbox, sid)["heard"])
    client.calls(sid).update(status="completed")
    assert ended(client, sid).status == "completed"
    with pytest.raises(TwilioRestException) as refused:
        client.calls(sid).update(status="completed")
    assert refused.value.code == 21220


def test_one_that_rings_is_cancelled(client: Client) -> None:
    sid = ring(client, NOBODY)
    eventually(lambda: client.calls(sid).fetch().status == "ringing")
    client.calls(sid).update(status="canceled")
    assert ended(client, sid).status == "canceled"


def test_a_conference_is_joined_held_and_ended_by_who_may(
    sandbox: Sandbox, client: Client, web: Answerer
) -> None:
    sandbox.control("settings", people_stay=True)
    response = VoiceResponse()
    response.dial(action=web.url + "/after").conference(
        "room-9f1c",
        end_conference_on_exit=True,
        status_callback=web.url + "/room",
        status_callback_event="start end join leave",
    )
    sid = ring(client, twiml=str(response))
    (room,) = eventually(lambda: client.conferences.list(friendly_name="room-9f1c", status="in-progress"))
    there = client.conferences(room.sid).participants
    other = there.create(from_=OURS, to=LEAD, label="lead", end_conference_on_exit=False)
    eventually(lambda: len(there.list()) == 2)
    changed = client.conferences(room.sid).participants(other.call_sid).update(hold=True)
    assert changed.hold
    assert changed.label == "lead"
    sandbox.control("twilio/hang-up", sid=sid)
    assert ended(client, other.call_sid).status == "completed"
    assert client.conferences(room.sid).fetch().status == "completed"
    told = eventually(lambda: len(found := web.at("/room")) >= 6 and found)
    assert {one.fields["StatusCallbackEvent"] for one in told} == {
        "conference-start", "participant-join", "participant-leave", "conference-end",
    }  # fmt: skip
    sandbox.control("settings", people_stay=False)


def test_a_message_is_recorded_told_and_heard(client: Client, web: Answerer) -> None:
    response = VoiceResponse()
    response.record(action=web.url + "/message", recording_status_callback=web.url + "/recording")
    sid = ring(client, twiml=str(response))
    ended(client, sid)
    (told,) = eventually(lambda: web.at("/recording"))
    assert told.fields["RecordingStatus"] == "completed"
    assert web.at("/message")[0].fields["RecordingSid"] == told.fields["RecordingSid"]
    client.recordings(told.fields["RecordingSid"]).delete()
    assert client.calls(sid).recordings.list() == []


def test_a_document_that_cannot_be_had_is_replaced_by_the_fallback_or_an_apology(
    sandbox: Sandbox, client: Client, web: Answerer
) -> None:
    web.answers |= {"/broken": 500, "/instead": said("Something else."), "/no-xml": "hello"}
    sid = ring(client, url=web.url + "/broken", fallback_url=web.url + "/instead")
    ended(client, sid)
    assert leg(sandbox, sid)["heard"] == ["Something else."]
    assert web.at("/instead")[0].fields["ErrorCode"] == "11200"
    sid = ring(client, url=web.url + "/no-xml")
    ended(client, sid)
    assert "application error" in leg(sandbox, sid)["heard"][0]
    assert leg(sandbox, sid)["problems"][0].startswith("12100")


def test_a_failing_receiver_is_asked_again_as_the_address_says_with_the_same_token(
    client: Client, web: Answerer
) -> None:
    web.answers["/status"] = 500
    ring(client, BUSY, status_callback=web.url + "/status#rc=2&rp=ct,5xx,rt")
    told = eventually(lambda: len(found := web.at("/status")) == 3 and found)
    assert len({one.token for one in told}) == 1
    web.answers["/once"] = 500
    sid = ring(client, BUSY, status_callback=web.url + "/once")
    ended(client, sid)
    eventually(lambda: web.at("/once"))
    web.answers["/refused"] = 403
    sid = ring(client, BUSY, status_callback=web.url + "/refused#rc=2&rp=ct,5xx,rt")
    eventually(lambda: web.at("/refused"))
    ended(client, sid)
    assert (len(web.at("/once")), len(web.at("/refused"))) == (1, 1)


def test_somebody_rings_a_number_that_asks_us(sandbox: Sandbox, client: Client, web: Answerer) -> None:
    (number,) = client.incoming_phone_numbers.list(phone_number=OURS)
    web.answers["/menu"] = said("Welcome.")
    client.incoming_phone_numbers(number.sid).update(voice_url=web.url + "/menu")
    rung = sandbox.control("twilio/inbound", from_number=LEAD, to_number=OURS)
    call = ended(client, rung["sid"])
    assert (call.direction, call.from_formatted) == ("inbound", LEAD)
    assert web.at("/menu")[0].fields["From"] == LEAD
    assert leg(sandbox, rung["sid"])["heard"] == ["Welcome."]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"to": "911"}, 21211),
        ({"from_": "+13035550100"}, 21210),
        ({"twiml": "x" * 4001}, 21608),
    ],
)
def test_what_twilio_refuses_is_refused_with_its_number(
    client: Client, given: dict[str, str], code: int
) -> None:
    with pytest.raises(TwilioRestException) as refused:
        ring(client, **given)
    assert (refused.value.code, refused.value.status) == (code, 400)


def test_too_many_at_once_a_wrong_token_and_no_such_thing(sandbox: Sandbox, client: Client) -> None:
    sandbox.control("settings", twilio_capacity=1)
    try:
        sid = ring(client, NOBODY)
        with pytest.raises(TwilioRestException) as refused:
            ring(client)
        assert refused.value.code == 10004
        ended(client, sid)
    finally:
        sandbox.control("settings", twilio_capacity=0)
    with pytest.raises(TwilioRestException) as refused:
        official(sandbox.url, token="wrong").calls("CA1").fetch()
    assert (refused.value.code, refused.value.status) == (20003, 401)
    with pytest.raises(TwilioRestException) as refused:
        client.calls("CA" + "0" * 32).fetch()
    assert refused.value.code == 20404


def test_who_hangs_up_at_once_hears_no_more(sandbox: Sandbox, client: Client) -> None:
    response = VoiceResponse()
    response.pause(length=60)
    response.say("Never heard.")
    sid = ring(client, HANGS_UP, twiml=str(response))
    assert int(ended(client, sid).duration) < 30
    assert leg(sandbox, sid)["heard"] == []


def test_a_list_goes_on_over_its_pages(client: Client) -> None:
    for _call in range(3):
        ring(client, INVALID)
    assert len(client.calls.list(to=INVALID, page_size=2)) >= 3


def test_callbacks_are_dropped_doubled_and_signed_wrong_when_told_so(
    sandbox: Sandbox, client: Client, web: Answerer
) -> None:
    sandbox.control("faults", webhook_double={"next": 1, "event": "completed"})
    ring(client, BUSY, status_callback=web.url + "/status")
    told = eventually(lambda: len(found := web.at("/status")) == 2 and found)
    assert told[0].token == told[1].token
    sandbox.control("faults", webhook_drop={"next": 1}, webhook_bad_signature={"next": 1})
    ended(client, ring(client, BUSY, status_callback=web.url + "/lost"))
    ended(client, ring(client, BUSY, status_callback=web.url + "/wrong"))
    eventually(lambda: web.at("/wrong"))
    assert web.at("/lost") == []
    assert not web.signed_by(FIXED_TOKEN)
