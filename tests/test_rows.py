"""The database itself refuses what must never be, whatever code runs before it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, connection, models, transaction
from django.utils import timezone

from agents.models import Agent
from calls.models import (
    Adoption,
    ApiKey,
    Call,
    CallBack,
    CallBatch,
    CallRequest,
    CallStatus,
    CallStep,
    CapChange,
    ComparedCall,
    Comparison,
    DailyCap,
    Direction,
    Gate,
    Interruption,
    Lead,
    LeadExport,
    LeadExportPart,
    LeadImport,
    LeadList,
    LeadPhone,
    Note,
    NumberRamp,
    Outcome,
    ProviderCheck,
    RecordingCopy,
    RefusedPart,
    SignatureRefusal,
    StaffPhone,
    Stop,
    WebhookEvent,
)
from calls.models.access import IdempotentRequest
from tests import refused_rows
from tests.factories import make_agent, make_call, make_lead, make_number, make_opt_out
from tests.refused_rows import change, twice

pytestmark = pytest.mark.django_db

NUMBER = "+14155550123"
NOT_E164 = [
    "4155550123",
    "+0155550123",
    "+1 415 555 0123",
    "+1415x550123",
    "",
    "+123456",
    "+1234567890123456",
]


def make_event(**fields: Any) -> WebhookEvent:
    now = timezone.now()
    return WebhookEvent.objects.create(
        **{"key": uuid.uuid4().hex, "body": b"{}", "received_at": now, "next_try_at": now, **fields}
    )


def make_call_back(**fields: Any) -> CallBack:
    return CallBack.objects.create(**{"number": NUMBER, "due_at": timezone.now(), **fields})


def make_key(**fields: Any) -> ApiKey:
    return ApiKey.objects.create(
        **{"name": "CRM", "prefix": uuid.uuid4().hex[:12], "digest": uuid.uuid4().hex, **fields}
    )


def make_step(**fields: Any) -> CallStep:
    return CallStep.objects.create(**{"call": make_call("unconfirmed"), "at": timezone.now(), **fields})


def make_adoption(**fields: Any) -> Adoption:
    now = timezone.now()
    return Adoption.objects.create(
        **{"cause": "restored", "asked_at": now, "since": now, "next_try_at": now, **fields}
    )


def make_interruption(**fields: Any) -> Interruption:
    return Interruption.objects.create(**{"utterance_id": "utt_1", "began_at": timezone.now(), **fields})


def make_stop(**fields: Any) -> Stop:
    return Stop.objects.create(**{"stopped_at": timezone.now(), **fields})


def make_comparison(**fields: Any) -> Comparison:
    now = timezone.now()
    return Comparison.objects.create(
        **{"since": now, "until": now, "started_at": now, "next_step_at": now, **fields}
    )


def make_difference(**fields: Any) -> ComparedCall:
    given = {"kind": "different", "done": "fetched", "provider_call_id": "call_1", **fields}
    if "comparison" not in given:
        given["comparison"] = make_comparison()
    return ComparedCall.objects.create(**given)


def same_difference_twice() -> None:
    run = make_comparison()
    twice(make_difference, comparison=run)


def make_import(**fields: Any) -> LeadImport:
    return LeadImport.objects.create(**{"file_name": "leads.csv", "content": b"", **fields})


def make_check(level: str) -> ProviderCheck:
    now = timezone.now()
    return ProviderCheck.objects.create(code="key", level=level, sentence="?", checked_at=now, since=now)


def make_desk_call(counterpart: str) -> Call:
    return make_call(
        counterpart=counterpart, lead=None, agent=None, provider="twilio", desk_number="+14155550190"
    )


def make_staff_phone(number: str) -> StaffPhone:
    return StaffPhone.objects.create(user=User.objects.create_user("dan"), number=number)


def make_copy(**fields: Any) -> RecordingCopy:
    given = {"call": make_call("ended"), "next_try_at": timezone.now(), **fields}
    return RecordingCopy.objects.create(**given)


def same_part_twice() -> None:
    twice(LeadExportPart.objects.create, export=LeadExport.objects.create(), first_row=0, text="")


def same_refused_part_twice() -> None:
    twice(RefusedPart.objects.create, job=make_import(), first_row=0)


def lifted(**fields: Any) -> None:
    change(make_opt_out(NUMBER), lifted_at=timezone.now(), **fields)


def same_answer_twice() -> None:
    twice(IdempotentRequest.objects.create, api_key=make_key(), key="one", body_digest="x", status_code=201)


def person() -> User:
    return User.objects.create_user(uuid.uuid4().hex)


def same_minute_twice() -> None:
    twice(SignatureRefusal.objects.create, minute=timezone.now(), cause="wrong")


def same_lead_number_twice() -> None:
    twice(LeadPhone.objects.create, lead=make_lead(""), number=NUMBER)


REFUSED: list[tuple[str, Callable[[], object]]] = [
    # Calls
    ("one_open_outbound_call_per_number", lambda: twice(make_call, counterpart=NUMBER, lead=None)),
    ("provider_check_level_is_known", lambda: make_check("plaid")),
    ("one_open_call_per_desk_number", lambda: [make_desk_call(n) for n in (NUMBER, "+14155550102")]),
    ("a_person_or_an_agent_calls", lambda: change(make_call(), desk_number="+14155550190")),
    ("one_row_per_provider_call", lambda: twice(make_call, status="placed", provider_call_id="call_1")),
    ("call_status_is_known", lambda: change(make_call(), status="flying")),
    ("call_direction_is_known", lambda: change(make_call(), direction="sideways")),
    ("call_outcome_is_known", lambda: change(make_call("ended"), outcome="great")),
    ("call_has_an_outcome_exactly_when_ended", lambda: change(make_call("ended"), outcome="")),
    ("call_has_an_outcome_exactly_when_ended", lambda: change(make_call("placed"), outcome="busy")),
    ("call_has_an_outcome_exactly_when_ended", lambda: change(make_call("placed"), status="ended")),
    ("call_duration_is_not_negative", lambda: change(make_call("ended"), duration_ms=-1)),
    ("call_cost_is_not_negative", lambda: change(make_call("ended"), cost_micros=-1)),
    (
        "one_cancellation_a_turn",
        lambda: twice(make_interruption, call=make_call("in_progress")),
    ),
    ("outbound_call_has_a_due_time", lambda: change(make_call(), due_at=None)),
    ("dialing_call_has_a_token_and_a_lease", lambda: change(make_call("dialing"), place_token=None)),
    ("dialing_call_has_a_token_and_a_lease", lambda: change(make_call("dialing"), lease_until=None)),
    ("judgement_is_known", lambda: change(make_call("ended"), judged="perhaps")),
    ("counterpart_is_e164_or_withheld", lambda: change(make_call(), counterpart="")),
    ("answered_by_is_known", lambda: change(make_call("ended"), answered_by="ghost")),
    ("disposition_is_known", lambda: change(make_call("ended"), disposition="maybe")),
    ("proposed_disposition_is_known", lambda: change(make_call("ended"), proposed_disposition="maybe")),
    ("sentiment_is_known", lambda: change(make_call("ended"), sentiment="sour")),
    ("step_kind_is_known", lambda: make_step(kind="hope")),
    ("adoption_cause_is_known", lambda: make_adoption(cause="whim")),
    ("one_open_adoption_per_cause", lambda: twice(make_adoption)),
    ("local_hour_is_an_hour", lambda: change(make_call(), local_hour=24)),
    # Gates
    ("breaker_is_known", lambda: change(Gate.objects.get_or_create(kind="line")[0], breaker="bent")),
    ("pace_factor_slows", lambda: change(Gate.objects.get_or_create(kind="line")[0], pace_factor=0)),
    # Daily limits
    ("cap_kind_is_known", lambda: DailyCap.objects.create(kind="luck")),
    ("cap_lets_one_pass", lambda: DailyCap.objects.create(kind="calls", most=0)),
    ("cap_change_kind_is_known", lambda: CapChange.objects.create(kind="luck", changed_at=timezone.now())),
    ("ramp_plan_is_known", lambda: NumberRamp.objects.create(number=make_number(), plan="bold")),
    # Stops
    ("stop_names_what_its_scope_says", lambda: make_stop(scope="moon")),
    ("stop_cause_is_known", lambda: make_stop(cause="weather")),
    ("stop_names_what_its_scope_says", lambda: make_stop(scope="agent")),
    ("stop_names_what_its_scope_says", lambda: make_stop(number=NUMBER)),
    ("one_stop_of_everything", lambda: twice(make_stop)),
    ("one_stop_an_agent", lambda: twice(make_stop, scope="agent", agent=make_agent())),
    ("one_stop_a_caller_id", lambda: twice(make_stop, scope="number", number=NUMBER)),
    (
        "one_stop_a_list",
        lambda: twice(make_stop, scope="list", lead_list=LeadList.objects.create(name="Old customers")),
    ),
    ("request_via_is_known", lambda: make_request(via="pigeon")),
    ("batch_state_is_known", lambda: change(CallBatch.objects.create(), state="lost")),
    ("call_back_state_is_known", lambda: change(make_call_back(), state="lost")),
    ("one_promise_per_call", lambda: twice(make_call_back, promised_in=make_call("ended"))),
    # Do not call
    ("do_not_call_source_is_known", lambda: make_opt_out(NUMBER, source="hearsay")),
    ("do_not_call_is_lifted_by_a_person_with_a_reason", lambda: lifted(lifted_reason="asked us to")),
    ("do_not_call_is_lifted_by_a_person_with_a_reason", lambda: lifted(lifted_by=person())),
    ("one_opt_out_per_call", lambda: twice(make_opt_out, number=NUMBER, call=make_call("ended"))),
    # Leads
    ("lead_status_is_known", lambda: make_lead(status="lukewarm")),
    ("lead_external_id_is_not_empty", lambda: make_lead(external_id="")),
    ("calls_lead.external_id", lambda: twice(make_lead, external_id="crm-7")),
    ("lead_has_a_number_once", same_lead_number_twice),
    ("lead_number_state_is_known", lambda: change(make_lead().phones.get(), state="odd")),
    ("note_is_about_something", lambda: Note.objects.create(text="hello")),
    ("note_is_not_empty", lambda: Note.objects.create(lead=make_lead(), text="")),
    ("export_state_is_known", lambda: LeadExport.objects.create(state="odd")),
    ("one_part_per_row_of_an_export", same_part_twice),
    ("copy_state_is_known", lambda: make_copy(state="odd")),
    ("kept_copy_has_a_checksum", lambda: make_copy(state="kept")),
    ("one_refused_part_per_bunch", same_refused_part_twice),
    ("import_state_is_known", lambda: change(make_import(), state="odd")),
    # Facts
    ("event_is_kept_once", lambda: twice(make_event, key="same")),
    ("event_state_is_known", lambda: make_event(state="odd")),
    ("event_source_is_known", lambda: make_event(source="rumour")),
    ("one_refusal_row_per_minute_and_cause", same_minute_twice),
    ("comparison_state_is_known", lambda: make_comparison(state="odd")),
    ("one_unfinished_comparison", lambda: twice(make_comparison)),
    ("difference_kind_is_known", lambda: make_difference(kind="odd")),
    ("difference_done_is_known", lambda: make_difference(done="odd")),
    ("one_difference_per_call_and_comparison", same_difference_twice),
    # Gates and keys
    ("one_gate_per_name", lambda: twice(Gate.objects.create, kind="line", name="north")),
    ("gate_kind_is_known", lambda: Gate.objects.create(kind="garden")),
    ("api_key_has_a_name", lambda: make_key(name="")),
    ("one_answer_per_idempotency_key", same_answer_twice),
    # Supply
    ("agents_phonenumber.number", lambda: twice(make_number, number=NUMBER)),
    ("one_row_per_provider_agent", lambda: twice(make_agent, provider_agent_id="agent_1")),
    ("agent_limit_is_at_least_one", lambda: make_agent(max_concurrent_calls=0)),
    ("confirmation_is_at_most_two_seconds", lambda: make_agent(confirm_interruption_ms=2001)),
    *refused_rows.REFUSED,
]

NUMBERS: list[tuple[str, Callable[[str], object]]] = [
    ("counterpart_is_e164_or_withheld", lambda bad: change(make_call(), counterpart=bad)),
    ("call_our_number_is_e164", lambda bad: change(make_call(), our_number=bad)),
    ("call_desk_number_is_e164", lambda bad: change(make_desk_call(NUMBER), desk_number=bad)),
    ("desk_action_number_is_e164", lambda bad: refused_rows.make_action(number=bad)),
    ("staff_phone_is_e164", lambda bad: make_staff_phone(bad)),
    ("lead_number_is_e164", lambda bad: change(make_lead().phones.get(), number=bad)),
    ("call_back_number_is_e164", lambda bad: change(make_call_back(), number=bad)),
    ("do_not_call_number_is_e164", lambda bad: change(make_opt_out(NUMBER), number=bad)),
    ("our_number_is_e164", lambda bad: change(make_number(), number=bad)),
    ("setup_number_is_e164", lambda bad: change(refused_rows.make_setup(**FALLS_BACK), number=bad)),
    ("setup_fallback_is_e164", lambda bad: change(refused_rows.make_setup(), fallback_number=bad)),
]
FALLS_BACK = {"fallback_number": "+14155550124"}
# A call whose caller ID is not yet chosen, or that an AI agent makes; a number that falls back to none yet.
MAY_BE_EMPTY = {
    "call_our_number_is_e164",
    "call_desk_number_is_e164",
    "desk_action_number_is_e164",
    "setup_fallback_is_e164",
}


def make_request(**fields: Any) -> CallRequest:
    return CallRequest.objects.create(call=make_call(), requested_at=timezone.now(), **fields)


def refusal(attempt: Callable[[], object]) -> str:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        attempt()
    return str(caught.value)


def columns_of(constraint: str) -> str:
    """SQLite names the columns of a broken UNIQUE, not the constraint."""
    for model in [*apps.get_app_config("calls").get_models(), *apps.get_app_config("agents").get_models()]:
        for found in model._meta.constraints:
            if found.name == constraint and isinstance(found, models.UniqueConstraint):
                table = model._meta.db_table
                names = [model._meta.get_field(field).column for field in found.fields]
                return ", ".join(f"{table}.{name}" for name in names)
    return constraint


def says(message: str, constraint: str) -> bool:
    if connection.vendor == "sqlite":
        return message in (
            f"CHECK constraint failed: {constraint}",
            f"UNIQUE constraint failed: {columns_of(constraint)}",
            f"UNIQUE constraint failed: index '{constraint}'",
        )
    # PostgreSQL: a unique column's constraint is named table_column_hash, that of the key table_pkey.
    table, _, column = constraint.partition(".")
    key = f'"{table}_pkey"' in message and f"Key ({column})" in message
    return key or f'"{constraint.replace(".", "_")}' in message


@pytest.mark.parametrize(("constraint", "attempt"), REFUSED, ids=[name for name, _ in REFUSED])
def test_the_database_refuses(constraint: str, attempt: Callable[[], object]) -> None:
    message = refusal(attempt)
    assert says(message, constraint), message


@pytest.mark.parametrize("bad", NOT_E164)
@pytest.mark.parametrize(("constraint", "attempt"), NUMBERS, ids=[name for name, _ in NUMBERS])
def test_the_database_refuses_what_is_not_e164(
    constraint: str, attempt: Callable[[str], object], bad: str
) -> None:
    if constraint in MAY_BE_EMPTY and bad == "":
        attempt(bad)
        return
    # PostgreSQL may refuse the length before it looks at the rule.
    if len(bad) > 16 and connection.vendor == "postgresql":
        with pytest.raises(DataError, match="too long"), transaction.atomic():
            attempt(bad)
        return
    message = refusal(lambda: attempt(bad))
    assert says(message, constraint), message


def test_every_constraint_of_every_table_is_tried() -> None:
    declared = {
        constraint.name
        for label in ("agents", "calls")
        for model in apps.get_app_config(label).get_models()
        for constraint in model._meta.constraints
    }
    tried = {name for name, _ in [*REFUSED, *NUMBERS]}
    assert declared - tried == set()


OPEN = [status for status in CallStatus.values if status != CallStatus.ENDED]


@pytest.mark.parametrize("second", OPEN)
@pytest.mark.parametrize("first", OPEN)
def test_two_open_calls_out_to_one_number_cannot_be(first: str, second: str) -> None:
    make_call(first, counterpart=NUMBER, lead=None)
    message = refusal(lambda: make_call(second, counterpart=NUMBER, lead=None))
    assert says(message, "one_open_outbound_call_per_number"), message


@pytest.mark.parametrize("status", CallStatus.values)
def test_a_call_in_is_never_refused_for_a_call_out(status: str) -> None:
    make_call(status, counterpart=NUMBER, lead=None)
    for inbound in (CallStatus.IN_PROGRESS, CallStatus.IN_PROGRESS, CallStatus.ENDED):
        make_call(inbound, direction=Direction.INBOUND, counterpart=NUMBER, lead=None)
    assert Call.objects.inbound().count() == 3


@pytest.mark.parametrize("status", CallStatus.values)
def test_a_number_may_be_called_again_once_its_call_has_ended(status: str) -> None:
    for _ in range(3):
        make_call("ended", counterpart=NUMBER, lead=None)
    make_call(status, counterpart=NUMBER, lead=None)
    assert Call.objects.filter(counterpart=NUMBER).count() == 4


def test_a_call_cannot_be_moved_back_into_a_number_that_is_taken() -> None:
    first = make_call("ended", counterpart=NUMBER, lead=None)
    make_call("queued", counterpart=NUMBER, lead=None)
    message = refusal(lambda: change(first, status="queued", outcome=""))
    assert says(message, "one_open_outbound_call_per_number"), message


@pytest.mark.parametrize("status", CallStatus.values)
@pytest.mark.parametrize("outcome", ["", *Outcome.values])
def test_an_outcome_stands_exactly_on_ended_calls(status: str, outcome: str) -> None:
    call = make_call(status)
    if (status == CallStatus.ENDED) == bool(outcome):
        change(call, outcome=outcome)
    else:
        refusal(lambda: change(call, outcome=outcome))


def test_many_calls_wait_for_an_id_of_the_provider() -> None:
    for _ in range(3):
        make_call("dialing", provider_call_id="")
    assert Call.objects.filter(provider_call_id="").count() == 3


def test_many_leads_have_no_id_in_another_system() -> None:
    for _ in range(3):
        make_lead(external_id=None)
    assert Lead.objects.filter(external_id=None).count() == 3


def test_an_agent_with_calls_cannot_be_deleted() -> None:
    call = make_call()
    assert isinstance(call.agent, Agent)
    with pytest.raises(models.ProtectedError):
        call.agent.delete()


def test_a_deleted_lead_leaves_its_calls_and_its_opt_out() -> None:
    lead = make_lead(NUMBER)
    call = make_call("ended", lead=lead)
    opt_out = make_opt_out(NUMBER, lead=lead)
    lead.delete()
    call.refresh_from_db()
    opt_out.refresh_from_db()
    assert (call.lead, call.counterpart, opt_out.lead, opt_out.number) == (None, NUMBER, None, NUMBER)


def test_times_are_aware_and_money_is_whole() -> None:
    call = make_call("ended", ended_at=timezone.now() + timedelta(minutes=1), cost_micros=123_456)
    call.refresh_from_db()
    assert call.ended_at is not None
    assert call.ended_at.utcoffset() == timedelta(0)
    assert call.cost_micros == 123_456
