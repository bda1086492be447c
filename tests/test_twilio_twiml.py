"""What a leg is told to do, judged by the official package, and the addresses it is told to ask."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from django.conf import LazySettings
from twilio.twiml.voice_response import VoiceResponse

from agents.providers.twilio.orders import LONGEST_INLINE
from agents.providers.twilio.twiml import RETRIES, Twiml, address

pytestmark = pytest.mark.one_engine

HERE = "https://calls.example.com/webhook/twilio/"


def test_press_one_and_be_connected_is_the_same_as_the_package_writes_it() -> None:
    ours = Twiml()
    asked = ours.gather(action=HERE + "keys", digits=1, timeout_s=5)
    asked.say("Press 1 to be connected.", language="en-US")
    ours.hang_up()
    theirs = VoiceResponse()
    gather = theirs.gather(
        input="dtmf",
        num_digits=1,
        timeout=5,
        action=HERE + "keys",
        method="POST",
        action_on_empty_result=True,
    )
    gather.say("Press 1 to be connected.", language="en-US")
    theirs.hangup()
    assert str(ours) == str(theirs)


def test_what_somebody_wrote_is_said_and_never_becomes_a_verb() -> None:
    ours = Twiml()
    ours.say('Zoë & Söhne <Dial>+14155550199</Dial> "quoted"')
    root = ET.fromstring(str(ours))
    assert [child.tag for child in root] == ["Say"]
    assert root[0].text == 'Zoë & Söhne <Dial>+14155550199</Dial> "quoted"'
    assert len(root[0]) == 0


def test_a_dial_always_says_whom_to_ask_afterwards_and_how_long() -> None:
    ours = Twiml()
    ours.dial(
        numbers=["+14155550101", "+14155550102"],
        caller_id="+12125550190",
        action=HERE + "dialled",
        status_callback=HERE + "status",
        record=True,
        recording_callback=HERE + "recording",
    )
    dial = ET.fromstring(str(ours))[0]
    assert dial.attrib["action"] == HERE + "dialled"
    assert int(dial.attrib["timeLimit"]) > 0
    assert dial.attrib["record"] == "record-from-answer-dual"
    assert [number.text for number in dial] == ["+14155550101", "+14155550102"]
    assert dial[0].attrib["statusCallbackEvent"] == "initiated ringing answered completed"
    assert len(str(ours)) < LONGEST_INLINE


def test_a_conference_is_entered_with_what_was_asked_and_nothing_else() -> None:
    ours = Twiml()
    ours.join("9f1c", action=HERE + "left", ends_it=True, wait_url="", status_callback=HERE + "room")
    room = ET.fromstring(str(ours))[0][0]
    assert room.text == "9f1c"
    assert room.attrib == {
        "startConferenceOnEnter": "true",
        "endConferenceOnExit": "true",
        "beep": "false",
        "waitUrl": "",
        "statusCallback": HERE + "room",
        "statusCallbackEvent": "start end join leave mute hold",
    }


def test_what_cannot_be_done_is_refused_before_it_is_said() -> None:
    ours = Twiml()
    for wrong in ("", " ", "x" * 4097):
        with pytest.raises(ValueError):
            ours.say(wrong)
    with pytest.raises(ValueError):
        ours.redirect("/webhook/twilio/next")
    with pytest.raises(ValueError):
        ours.keys("call me")
    with pytest.raises(ValueError):
        ours.dial(numbers=[], caller_id="+12125550190", action=HERE)
    assert len(ET.fromstring(str(ours))) == 0


def test_an_address_is_the_public_one_and_asks_to_be_asked_again(settings: LazySettings) -> None:
    settings.PUBLIC_BASE_URL = "https://calls.example.com"
    assert address("/webhook/twilio/status?call=9f1c") == HERE + "status?call=9f1c" + RETRIES
    assert address("/webhook/twilio/status", retries=False) == HERE + "status"
    for wrong in ("/webhook/%2B1", "/a;b", "/a|b", "/a?b=c d", "/a#b", "https://other.example/"):
        with pytest.raises(ValueError):
            address(wrong)
