"""`POST /initiate-call`: a call to a bare number, as the article this product began from has it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from calls import dialer
from calls.api import fields, idempotency, problems
from calls.api.auth import ApiCaller, caller_of
from calls.api.call_serializers import WaitingSerializer
from calls.api.calls import answer_to
from calls.api.idempotency import Answer
from calls.api.reading import Body, read
from calls.models import Call, CallStatus

ASK_AGAIN_S = 60.0
"""Where nobody knows how long it will take."""


class InitiateBody(Body):
    to_number = fields.E164(help_text="Whom to call. A number not known yet makes a lead.")
    from_number = fields.E164(
        required=False,
        allow_null=True,
        help_text="One of our numbers. Not given: the agent's default caller ID, else the company's.",
    )
    assistant_id = fields.Text(
        max_length=120,
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text="The AI agent's id at the phone company; one not known here yet is added. Not given: the "
        "one that called this number last, else the only one that may call.",
    )
    metadata = fields.Metadata(required=False, allow_null=True)
    retell_llm_dynamic_variables = fields.Variables(
        required=False, allow_null=True, help_text="Win over what is known of the lead."
    )
    queue = fields.Flag(
        required=False, default=True, help_text="false: now, or not at all (429, 422 or 503)."
    )


class InitiatedSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(
        ["initiated", "queued", "ended"],
        help_text="initiated: it goes out now, or has. queued: `waiting_for` says for what it waits. ended: "
        "only when an Idempotency-Key is repeated, of a call that never went out.",
    )
    call_id = serializers.UUIDField(help_text="Ours: see /api/v1/calls/{id}/.")
    assistant_id = serializers.CharField()
    provider_call_id = fields.Told(allow_null=True, help_text="Once it is known.")
    waiting_for = WaitingSerializer(allow_null=True)


class InitiateCall(generics.GenericAPIView[Call]):
    serializer_class = InitiatedSerializer

    @extend_schema(
        operation_id="initiate_call",
        summary="Call a number",
        description=(
            "200: on its way, or queued; a queued call to that number is taken over. 400: a number that is "
            "not E.164, with the rule. 409: that number is on the phone, or the Idempotency-Key was used "
            "for another request. 422: it may never be (with `queue` false: not now), with every reason. "
            "429 `no_free_line`: every line is in use and `queue` is false; `place` in the queue, and "
            "Retry-After. 503 `calling_stopped`: somebody has stopped such calls."
        ),
        request=InitiateBody,
        responses={200: OpenApiResponse(InitiatedSerializer)},
        parameters=[idempotency.PARAMETER],
        tags=["initiate-call"],
    )
    def post(self, request: Request) -> HttpResponse:
        key = idempotency.key_of(request)
        given = read(InitiateBody, request)
        caller = caller_of(request)

        def act() -> Answer:
            return _initiate(given, caller)

        answer = idempotency.once(caller.key, key, request.data, act) if key else act()
        headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
        if answer.call is None:
            return problems.answer(answer.problem, headers=headers)
        return Response(InitiatedSerializer(_told(answer.call)).data, status=200, headers=headers)


def _initiate(given: dict[str, Any], caller: ApiCaller) -> Answer:
    """Raises Stopped, Full and NotNow: then nothing was asked for, and the Idempotency-Key is free again."""
    now = timezone.now()
    wanted = dialer.Wanted(
        number=given["to_number"],
        agent_id=given.get("assistant_id") or "",
        our_number=given.get("from_number") or "",
        variables=given.get("retell_llm_dynamic_variables"),
        metadata=given.get("metadata"),
        queue=given["queue"],
    )
    try:
        answer = answer_to(
            lambda: dialer.initiate(wanted, api_key=caller.key, by=caller, owner=caller.owner, now=now)
        )
    except dialer.Full as full:
        raise problems.Full(str(full), place=full.place, wait_s=full.wait.total_seconds()) from full
    except dialer.NotNow as held:
        until = held.waits.until
        wait_s = (until - now).total_seconds() if until else ASK_AGAIN_S
        raise problems.NotNow(str(held), held.waits.code, wait_s=wait_s) from held
    return Answer(200, answer.call) if answer.call else answer


def _told(call: Call) -> dict[str, Any]:
    """The call as it is now."""
    call = Call.objects.select_related("lead", "batch", "agent").get(pk=call.pk)
    waits = dialer.waiting(call, now=timezone.now())
    next_out = waits is None or (waits.code == "pace" and waits.place == 1)
    status = "initiated" if next_out else "queued"
    if call.status == CallStatus.ENDED and call.sent_at is None:
        status = "ended"
    return {
        "status": status,
        "call_id": call.pk,
        "assistant_id": call.agent.provider_agent_id if call.agent else "",
        "provider_call_id": call.provider_call_id,
        "waiting_for": waits if status == "queued" else None,
    }
