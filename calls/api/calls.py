"""`/api/v1/calls/`: ask for a call, watch it, take it back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django_filters import ChoiceFilter
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent
from agents.providers.base import NotOffered
from calls import dialer
from calls.api import fields, idempotency, problems
from calls.api.auth import ApiCaller, caller_of
from calls.api.call_serializers import CallDetailSerializer, CallSerializer
from calls.api.filters import IdFilter, MomentFilter, NumberFilter, StrictFilterSet
from calls.api.idempotency import Answer
from calls.api.pagination import Pages
from calls.api.problems import Conflict, Stopped
from calls.api.reading import Body, read
from calls.api.scope import ONLY_VISIBLE, VisibleToMixin
from calls.eligibility import Reason
from calls.models import Call, CallStatus, Direction, Lead, Outcome, Via

LATEST_DUE = timedelta(days=366)


class CallBody(Body):
    lead = fields.Id()
    agent = fields.Id()
    from_number = fields.Phone(
        required=False,
        allow_null=True,
        help_text="One of our numbers. Not given: the agent's default caller ID, else the company's.",
    )
    variables = fields.Variables(required=False, help_text="Win over what is known of the lead.")
    overrides = fields.Overrides(
        required=False,
        help_text="What this call alone has differently from its agent: voice, speed, language, "
        "opening_line, temperature and more, as the contract has them (409 not_offered for others).",
    )
    due_at = fields.Moment(required=False, allow_null=True, help_text="Not given: now.")
    not_after = fields.Moment(
        required=False,
        allow_null=True,
        help_text="When the call is no longer wanted. Not given: ten minutes after due.",
    )


class CancelBody(Body):
    reason = fields.Text(max_length=200, required=False, allow_blank=True)


class CallFilters(StrictFilterSet):
    status = ChoiceFilter(choices=CallStatus.choices)
    outcome = ChoiceFilter(choices=Outcome.choices)
    direction = ChoiceFilter(choices=Direction.choices)
    lead = IdFilter(field_name="lead_id")
    agent = IdFilter(field_name="agent_id")
    to_number = NumberFilter(method="called")
    updated_after = MomentFilter(
        field_name="updated_at",
        lookup_expr="gt",
        help_text="Calls that were written after this moment, for whatever reason. Overlap your windows by "
        "a minute: a change is dated when it is made, and seen when it is committed.",
    )

    def called(self, calls: QuerySet[Call], _name: str, number: str) -> QuerySet[Call]:
        out = Q(direction=Direction.OUTBOUND, counterpart=number)
        return calls.filter(out | Q(direction=Direction.INBOUND, our_number=number))


class CallDoor(VisibleToMixin, generics.GenericAPIView[Call]):
    queryset = Call.objects.select_related("lead", "batch").defer("request_body", "variables", "metadata")
    serializer_class = CallSerializer
    pagination_class = Pages

    def answer(self, call: Call, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """The call as it is now."""
        fresh = Call.objects.select_related("lead", "batch").get(pk=call.pk)
        return Response(CallSerializer(fresh).data, status=status, headers=headers)


@extend_schema_view(
    get=extend_schema(operation_id="calls_list", description=ONLY_VISIBLE, summary="Calls, newest first")
)
class Calls(CallDoor, generics.ListAPIView[Call]):
    ordering = ("-requested_at", "-id")
    filterset_class = CallFilters

    @extend_schema(
        operation_id="calls_create",
        summary="Ask for a call",
        description=(
            "201: queued; `waiting_for` says for what it waits. 200: a call to that number was queued and "
            "is taken over, as it is. 409: that number is on the phone, the Idempotency-Key was used for "
            "another request, or an override is not offered. 422: it may never be, with every reason. 503 "
            "`calling_stopped`: somebody has stopped such calls; ask again when calling goes on."
        ),
        request=CallBody,
        responses={201: CallSerializer, 200: CallSerializer},
        parameters=[idempotency.PARAMETER],
    )
    def post(self, request: Request) -> HttpResponse:
        key = idempotency.key_of(request)
        given = read(CallBody, request)
        caller = caller_of(request)

        def act() -> Answer:
            return ask(given, caller=caller, now=timezone.now())

        answer = idempotency.once(caller.key, key, request.data, act) if key else act()
        headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
        if answer.call is None:
            return problems.answer(answer.problem, headers=headers)
        return self.answer(answer.call, answer.status, headers)


@extend_schema_view(
    get=extend_schema(
        operation_id="calls_retrieve",
        description=ONLY_VISIBLE,
        summary="One call, with what was said and what we were told",
    )
)
class OneCall(CallDoor, generics.RetrieveAPIView[Call]):
    queryset = CallDoor.queryset.select_related("transcript")
    serializer_class = CallDetailSerializer


class CancelCall(CallDoor):
    @extend_schema(
        operation_id="calls_cancel",
        summary="Take a call back",
        description="A call that waits ends at once. One being placed is not sent any more, or hung up "
        "unless somebody has answered. 409: it is in conversation or over.",
        request=CancelBody,
        responses={200: CallSerializer},
    )
    def post(self, request: Request, **_kwargs: Any) -> Response:
        given = read(CancelBody, request)
        caller = caller_of(request)
        call = self.get_object()
        reason = given.get("reason") or _("cancelled by another system")
        if not dialer.cancel(call, by=caller.owner, reason=reason, now=timezone.now()):
            raise Conflict(_("The call is in conversation or over."), "too_late_to_cancel")
        return self.answer(call)


class HangUpCall(CallDoor):
    @extend_schema(
        operation_id="calls_hang_up",
        summary="Hang up",
        description="202: the phone company is told within two seconds. 409: the call is not on, or the "
        "phone company cannot be told to hang up (code not_offered).",
        request=None,
        responses={202: CallSerializer},
    )
    def post(self, request: Request, **_kwargs: Any) -> Response:
        caller = caller_of(request)
        call = self.get_object()
        try:
            told = dialer.hang_up(call, by=caller.owner, now=timezone.now())
        except NotOffered as reason:
            raise Conflict(reason.message, "not_offered") from reason
        if not told:
            raise Conflict(_("The call is not on."), "not_on")
        return self.answer(call, 202)


def ask(given: dict[str, Any], *, caller: ApiCaller, now: datetime) -> Answer:
    """One request for a call, and the answer to it. Raises NotFound for a lead or an agent, and Stopped."""
    lead = Lead.objects.visible_to(caller).filter(pk=given["lead"]).first()
    agent = Agent.objects.select_related("default_caller_id").filter(pk=given["agent"]).first()
    if lead is None:
        raise NotFound(
            _("There is no lead %(id)d that this key may see.") % {"id": given["lead"]}, "lead_not_found"
        )
    if agent is None:
        raise NotFound(_("There is no agent %(id)d.") % {"id": given["agent"]}, "agent_not_found")
    due_at = given.get("due_at")
    if due_at is not None and due_at > now + LATEST_DUE:
        return _refused([Reason(code="due_too_late", text=_("At most a year ahead."), source="due_at")])
    return answer_to(
        lambda: dialer.ask(
            lead=lead,
            agent=agent,
            by=caller.owner,
            api_key=caller.key,
            via=Via.API,
            now=now,
            our_number=given.get("from_number") or "",
            variables=given.get("variables"),
            overrides=given.get("overrides"),
            due_at=due_at,
            not_after=given.get("not_after"),
            wait_for_stop=False,
        )
    )


def answer_to(asking: Callable[[], dialer.Asked]) -> Answer:
    """201, 200 for an adopted call, or the problem with every reason. Raises Stopped."""
    try:
        asked = asking()
    except dialer.CallingStopped as stopped:
        # Raised, so that the Idempotency-Key is free again: asked once more when calling goes on, it acts.
        raise Stopped(str(stopped)) from stopped
    except dialer.OnThePhone as busy:
        text = str(busy)
        reason = Reason(code="on_the_phone", text=text, source="call")
        return Answer(
            409,
            problem=problems.problem_body(
                409, "on_the_phone", text, reasons=[reason], call=str(busy.call.pk)
            ),
        )
    except dialer.NotAllowed as never:
        return _refused(never.reasons)
    except dialer.NoCallerId as none:
        return _refused([Reason(code="no_caller_id", text=str(none), source="from_number")])
    except dialer.NoAgent as none:
        return _refused([Reason(code="no_agent", text=str(none), source="assistant_id")])
    except NotOffered as reason:
        raise Conflict(reason.message, "not_offered") from reason
    except dialer.BadOverride as wrong:
        return _refused([Reason(code="bad_override", text=str(wrong), source="overrides")])
    except dialer.BadRequest as wrong:
        return _refused([Reason(code="expires_before_due", text=str(wrong), source="not_after")])
    return Answer(200 if asked.adopted else 201, asked.call)


def _refused(reasons: Iterable[Reason]) -> Answer:
    told = list(reasons)
    detail = " ".join(str(reason.text) for reason in told)
    return Answer(422, problem=problems.problem_body(422, "not_allowed", detail, reasons=told))
