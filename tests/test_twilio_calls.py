"""Our client, our TwiML and the sandbox together: what a person's own calls and new numbers are made of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from twilio_wire import BUSY, LEAD, MAILBOX, OURS, STAFF, Answerer
from webhook_receiver import eventually

from agents.providers.base import Accepted, Busy, Refused, Unclear
from agents.providers.twilio.answers import Over
from agents.providers.twilio.orders import LegOrder
from agents.providers.twilio.resources import Leg
from agents.providers.twilio.rest import Twilio
from agents.providers.twilio.trunk import RETELL_SIP, Trunking, new_password
from agents.providers.twilio.twiml import Twiml
from agents.sandbox.server import Sandbox
from agents.sandbox.twilio.contract import FIXED_SID, FIXED_TOKEN

pytestmark = pytest.mark.one_engine


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(speed=400, seed=7) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def twilio(sandbox: Sandbox) -> Iterator[Twilio]:
    twilio = Twilio(account_sid=FIXED_SID, auth_token=FIXED_TOKEN, base_url=sandbox.url)
    yield twilio
    twilio.close()


@pytest.fixture
def web() -> Iterator[Answerer]:
    with Answerer() as web:
        yield web


def ring(twilio: Twilio, to: str = STAFF, **more: object) -> Accepted:
    order = LegOrder(to_number=to, from_number=OURS, **more)  # type: ignore[arg-type]
    return twilio.ring(order, give_up_s=5, started=time.monotonic())


def over(twilio: Twilio, sid: str) -> Leg:
    return eventually(lambda: (leg := twilio.leg(sid)).over and leg)


def waiting() -> str:
    document = Twiml()
    document.pause(600)
    return str(document)


def test_press_one_to_be_connected_rings_the_lead_and_a_mailbox_is_never_connected(
    twilio: Twilio, web: Answerer
) -> None:
    start, connect = Twiml(), Twiml()
    asked = start.gather(action=web.url + "/keys", digits=1, timeout_s=3)
    asked.say("Press 1 to be connected to Zoë Müller.")
    connect.dial(
        numbers=[LEAD],
        caller_id=OURS,
        action=web.url + "/after",
        status_callback=web.url + "/lead",
        record=True,
        recording_callback=web.url + "/recording",
        detect="Enable",
        detect_callback=web.url + "/amd",
    )
    web.answers["/keys"] = lambda told: str(connect if told.fields["Digits"] == "1" else Twiml())
    web.answers["/after"] = str(Twiml())
    accepted = ring(twilio, twiml=str(start), status_callback=web.url + "/staff")
    assert accepted.status == "queued"
    leg = over(twilio, accepted.provider_call_id)
    (lead,) = twilio.children(leg.sid)
    assert (lead.to_number, lead.status, lead.parent_sid) == (LEAD, "completed", leg.sid)
    assert lead.started_at is not None
    assert lead.cost_micros is not None
    assert web.at("/amd")[0].fields["AnsweredBy"] == "human"
    told = eventually(lambda: web.at("/recording"))[0]
    assert len(twilio.recording_audio(told.fields["RecordingSid"])) > 10_000
    mailbox = ring(twilio, MAILBOX, twiml=str(start))
    over(twilio, mailbox.provider_call_id)
    assert twilio.children(mailbox.provider_call_id) == []
    assert web.signed_by(FIXED_TOKEN)


def test_a_lost_answer_is_found_by_number_and_never_sent_again(sandbox: Sandbox, twilio: Twilio) -> None:
    before = {leg.sid for leg in twilio.find_legs(to_number=BUSY)}
    sandbox.control("faults", create_500_after={"next": 1})
    with pytest.raises(Unclear):
        ring(twilio, BUSY, twiml=waiting())
    since = datetime.now(UTC) - timedelta(minutes=1)
    found = [leg for leg in twilio.find_legs(to_number=BUSY, since=since) if leg.sid not in before]
    assert len(found) == 1


def test_what_is_refused_for_the_rate_or_for_good_rings_nobody(sandbox: Sandbox, twilio: Twilio) -> None:
    before = len(twilio.find_legs(to_number=BUSY))
    sandbox.control("faults", create_429={"next": 1})
    with pytest.raises(Busy):
        ring(twilio, BUSY, twiml=waiting())
    with pytest.raises(Refused, match="not in the Twilio account"):
        twilio.ring(
            LegOrder(to_number=BUSY, from_number="+13035550100", twiml=waiting()),
            give_up_s=5,
            started=time.monotonic(),
        )
    assert len(twilio.find_legs(to_number=BUSY)) == before


def test_a_live_leg_is_redirected_recorded_and_hung_up_once(twilio: Twilio, web: Answerer) -> None:
    sid = ring(twilio, twiml=waiting()).provider_call_id
    eventually(lambda: twilio.leg(sid).status == "in-progress")
    recording = twilio.record(sid, status_callback=web.url + "/recording")
    assert twilio.change_recording(sid, "Twilio.CURRENT", "paused").status == "paused"
    assert twilio.change_recording(sid, recording.sid, "in-progress").status == "in-progress"
    assert twilio.redirect(sid, twiml=waiting()).sid == sid
    assert twilio.hang_up(sid)
    over(twilio, sid)
    assert not twilio.hang_up(sid)
    assert not twilio.cancel(sid)
    with pytest.raises(Over):
        twilio.redirect(sid, twiml=waiting())
    assert [item.status for item in twilio.recordings(sid)] == ["completed"]
    twilio.delete_recording(recording.sid)
    twilio.delete_recording(recording.sid)
    assert twilio.recordings(sid) == []


def test_a_lead_is_held_given_to_a_colleague_and_left_with_them(
    sandbox: Sandbox, twilio: Twilio, web: Answerer
) -> None:
    sandbox.control("settings", people_stay=True)
    room = Twiml()
    room.join("call-7f", action=web.url + "/after", status_callback=web.url + "/room", label="staff")
    web.answers["/after"] = str(Twiml())
    sid = ring(twilio, twiml=str(room)).provider_call_id
    (conference,) = eventually(lambda: twilio.conferences(name="call-7f", status="in-progress"))
    lead = twilio.invite("call-7f", to_number=LEAD, from_number=OURS, label="lead", ends_it=True)
    eventually(lambda: len(twilio.participants(conference.sid)) == 2)
    assert twilio.change_participant(conference.sid, lead.leg_sid, on_hold=True).on_hold
    assert not twilio.change_participant(conference.sid, lead.leg_sid, on_hold=False).on_hold
    assert twilio.remove_participant(conference.sid, sid)
    assert over(twilio, sid).status == "completed"
    assert {member.label for member in twilio.participants(conference.sid)} <= {"lead"}
    twilio.end_conference(conference.sid)
    assert over(twilio, lead.leg_sid).status == "completed"
    assert not twilio.end_conference(conference.sid)
    sandbox.control("settings", people_stay=False)


def test_a_number_goes_onto_a_new_trunk_and_back_with_its_former_address(twilio: Twilio) -> None:
    trunks = Trunking(twilio)
    (number,) = twilio.numbers("+442079460980")
    twilio.change_number(number.sid, voice_url="https://calls.example.com/menu")
    trunk = trunks.create_trunk(label="Desk", domain="desk-test.pstn.twilio.com")
    assert trunk.auth == frozenset()
    made = trunks.create_credential_list("Desk")
    credential = trunks.create_credential(made.sid, username="desk", password=new_password())
    trunks.attach_list(trunk.sid, made.sid)
    trunks.change_password(made.sid, credential.sid, new_password())
    origin = trunks.create_origination_url(trunk.sid, label="Retell")
    assert (origin.sip_url, origin.enabled) == (RETELL_SIP, True)
    trunks.attach_number(trunk.sid, number.sid)
    assert trunks.trunk(trunk.sid).auth == {"CREDENTIAL_LIST"}
    assert [item.number for item in trunks.numbers_of(trunk.sid)] == ["+442079460980"]
    assert twilio.number(number.sid).trunk_sid == trunk.sid
    trunks.detach_number(trunk.sid, number.sid)
    assert twilio.change_number(number.sid, voice_url="https://calls.example.com/menu").trunk_sid == ""
    trunks.delete_origination_url(trunk.sid, origin.sid)
    trunks.detach_list(trunk.sid, made.sid)
    trunks.delete_credential(made.sid, credential.sid)
    trunks.delete_credential_list(made.sid)
    trunks.delete_trunk(trunk.sid)
    assert trunk.sid not in [item.sid for item in trunks.trunks()]
    assert made.sid not in [item.sid for item in trunks.credential_lists()]


def test_the_account_says_who_it_is_and_a_wrong_token_what_to_do(sandbox: Sandbox, twilio: Twilio) -> None:
    assert (twilio.account().kind, twilio.account().status) == ("Full", "active")
    assert twilio.verified_numbers() == []
    wrong = Twilio(account_sid=FIXED_SID, auth_token="wrong", base_url=sandbox.url)
    with pytest.raises(Refused, match="TWILIO_AUTH_TOKEN"):
        wrong.account()
    wrong.close()
