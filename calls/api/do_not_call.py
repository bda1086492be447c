"""`/api/v1/do-not-call/`: who asked never to be called again."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from calls import eligibility
from calls.api import fields
from calls.api.auth import caller_of
from calls.api.filters import NumberFilter, StrictFilterSet
from calls.api.pagination import Pages
from calls.api.reading import Body, read
from calls.models import DoNotCall
from calls.models.do_not_call import DoNotCallSource


class DoNotCallBody(Body):
    number = fields.Phone()
    reason = fields.Why(max_length=300)


class DoNotCallSerializer(serializers.ModelSerializer[DoNotCall]):
    number = serializers.CharField()
    source = serializers.ChoiceField(DoNotCallSource.choices)  # type: ignore[assignment]

    class Meta:
        model = DoNotCall
        fields = ["id", "number", "reason", "source", "created_at"]
        read_only_fields = fields


class OptOutSerializer(DoNotCallSerializer):
    """An entry, and what it did to the calls that were on their way."""

    canceled = serializers.SerializerMethodField(help_text="Ids of calls that waited and are cancelled.")
    hanging_up = serializers.SerializerMethodField(
        help_text="Ids of calls being placed: not sent any more, or hung up unless somebody answered."
    )

    class Meta(DoNotCallSerializer.Meta):
        fields = [*DoNotCallSerializer.Meta.fields, "canceled", "hanging_up"]
        read_only_fields = fields

    def get_canceled(self, _entry: DoNotCall) -> list[str]:
        return [str(call.pk) for call in self.context["opt_out"].canceled]

    def get_hanging_up(self, _entry: DoNotCall) -> list[str]:
        return [str(call.pk) for call in self.context["opt_out"].marked]


class DoNotCallFilters(StrictFilterSet):
    number = NumberFilter(field_name="number")


@extend_schema_view(get=extend_schema(operation_id="do_not_call_list", summary="Numbers never called"))
class DoNotCalls(generics.ListAPIView[DoNotCall]):
    queryset = DoNotCall.objects.in_force()
    serializer_class = DoNotCallSerializer
    pagination_class = Pages
    filterset_class = DoNotCallFilters

    @extend_schema(
        operation_id="do_not_call_create",
        summary="Never call a number again",
        description="Calls to it that wait are cancelled in the same transaction. A number that is on the "
        "list already stays as it was entered first; the answer is the same.",
        request=DoNotCallBody,
        responses={201: OptOutSerializer},
    )
    def post(self, request: Request, **_kwargs: Any) -> Response:
        given = read(DoNotCallBody, request)
        caller = caller_of(request)
        done = eligibility.opt_out(
            given["number"],
            reason=given["reason"],
            source=DoNotCallSource.API,
            now=timezone.now(),
            by=caller.owner,
        )
        return Response(OptOutSerializer(done.entry, context={"opt_out": done}).data, status=201)
