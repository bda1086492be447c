"""`/api/v1/calls/{id}/steer/`: a word to the AI agent of a call that is on."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from agents.providers.base import NotOffered, ProviderError, Unclear
from calls import steering
from calls.api import fields, idempotency, problems
from calls.api.auth import ApiCaller, caller_of
from calls.api.call_serializers import CallSerializer
from calls.api.calls import CallDoor
from calls.api.idempotency import Answer
from calls.api.problems import BODY, Conflict
from calls.api.reading import Body, read
from calls.models import Call


class SteerBody(Body):
    context = fields.Text(  # type: ignore[assignment]
        max_length=steering.LONGEST_CONTEXT,
        required=False,
        allow_blank=True,
        help_text="What the agent should know; the person does not hear it.",
    )
    answer_now = serializers.BooleanField(
        required=False, help_text="The agent answers now, or breaks off and answers again."
    )
    variables = fields.ChangedVariables(
        required=False, help_text="Other values from now on; null: as before the call's changes."
    )


class SteerCall(CallDoor):
    @extend_schema(
        operation_id="calls_steer",
        summary="Tell the agent of a call that is on",
        description="200: the phone company took it. At least one of the three is needed. 409: nobody is in "
        "conversation (code not_on), the phone company cannot be told (not_offered), did not take it "
        "(not_taken), or gave no clear answer (unclear: under another Idempotency-Key it may be said twice).",
        request=SteerBody,
        responses={200: CallSerializer},
        parameters=[idempotency.PARAMETER],
    )
    def post(self, request: Request, **_kwargs: Any) -> HttpResponse:
        key = idempotency.key_of(request)
        caller = caller_of(request)
        call = self.get_object()
        given = read(SteerBody, request)

        def act() -> Answer:
            return _say(call, given, caller)

        # The same words to another call are another request.
        asked = {"steer": str(call.pk), "given": request.data}
        answer = idempotency.once_said(caller.key, key, asked, act) if key else act()
        headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
        if answer.call is None:
            return problems.answer(answer.problem, headers=headers)
        return self.answer(answer.call, answer.status, headers)


def _say(call: Call, given: dict[str, Any], caller: ApiCaller) -> Answer:
    """Raises ValidationError and Conflict where nothing was said."""
    try:
        steering.steer(
            call,
            by=caller.owner,
            api_key=caller.key,
            now=timezone.now(),
            context=given.get("context", ""),
            answer_now=given.get("answer_now", False),
            variables=given.get("variables"),
        )
    except steering.NothingToSay as problem:
        raise ValidationError({BODY: [ErrorDetail(str(problem), "nothing_to_say")]}) from problem
    except steering.NotOn as over:
        raise Conflict(str(over), "not_on") from over
    except NotOffered as reason:
        raise Conflict(reason.message, "not_offered") from reason
    except Unclear as unclear:
        return Answer(409, problem=problems.problem_body(409, "unclear", unclear.message))
    except ProviderError as refused:
        return Answer(409, problem=problems.problem_body(409, "not_taken", refused.message))
    return Answer(200, call)
