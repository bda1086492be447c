"""`/api/v1/leads/`: whom to call."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from calls.api import fields
from calls.api.auth import caller_of
from calls.api.pagination import Pages
from calls.api.problems import Conflict
from calls.api.reading import Body, read
from calls.api.scope import ONLY_VISIBLE, VisibleToMixin
from calls.models import Lead, LeadStatus, NextAction, PhoneState
from calls.models.lead import LeadPhone, LeadSource, PhoneKind
from calls.people import ExternalIdTaken, add_lead, change_lead


class LeadBody(Body):
    name = fields.Name(max_length=200)
    phone = fields.Phone(help_text="The number to dial.")
    company = fields.Text(max_length=200, required=False, allow_blank=True)
    email = fields.Email(max_length=254, required=False, allow_null=True, allow_blank=True)
    timezone = fields.Zone(
        source="time_zone",
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text="Empty: the number tells.",
    )
    external_id = fields.Text(max_length=120, required=False, allow_null=True, allow_blank=True)
    custom = fields.CustomFields(required=False)
    reason = fields.Text(max_length=300, required=False, allow_blank=True, help_text="Why we call.")

    def validate_email(self, email: str | None) -> str:
        return email or ""


class LeadPhoneSerializer(serializers.ModelSerializer[LeadPhone]):
    number = serializers.CharField()
    kind = serializers.ChoiceField(PhoneKind.choices)
    state = serializers.ChoiceField(PhoneState.choices)

    class Meta:
        model = LeadPhone
        fields = ["number", "kind", "state"]


class LeadSerializer(serializers.ModelSerializer[Lead]):
    phone = serializers.SerializerMethodField(help_text="The number that is dialled.")
    phones = LeadPhoneSerializer(many=True)
    email = fields.Told(allow_null=True)
    timezone = fields.Told(source="time_zone", allow_null=True)
    external_id = fields.Told(allow_null=True)
    custom = serializers.DictField()
    status = serializers.ChoiceField(LeadStatus.choices)
    next_action = fields.Word([each for each in NextAction.choices if each[0]], allow_null=True)

    class Meta:
        model = Lead
        fields = [
            "id", "name", "phone", "phones", "company", "email", "timezone", "external_id", "custom",
            "reason", "status", "next_action", "next_action_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_phone(self, lead: Lead) -> str | None:
        numbers = list(lead.phones.all())
        return next((one.number for one in numbers if one.state == PhoneState.VALID), None)


class LeadDoor(VisibleToMixin, generics.GenericAPIView[Lead]):
    queryset = Lead.objects.prefetch_related("phones")
    serializer_class = LeadSerializer
    pagination_class = Pages

    def answer(self, lead: Lead, status: int = 200) -> Response:
        return Response(LeadSerializer(self.get_queryset().get(pk=lead.pk)).data, status=status)


@extend_schema_view(
    get=extend_schema(operation_id="leads_list", description=ONLY_VISIBLE, summary="Leads, newest first")
)
class Leads(LeadDoor, generics.ListAPIView[Lead]):
    @extend_schema(
        operation_id="leads_create",
        summary="Add a lead",
        description="With an `external_id` that is known already: 200 and that lead, unchanged.",
        request=LeadBody,
        responses={201: LeadSerializer, 200: LeadSerializer},
    )
    def post(self, request: Request) -> Response:
        given = read(LeadBody, request)
        caller = caller_of(request)
        try:
            lead = add_lead(**given, source=LeadSource.API, owner_id=caller.pk)
        except ExternalIdTaken as taken:
            return self.answer_known(taken.lead)
        return self.answer(lead, 201)

    def answer_known(self, lead: Lead) -> Response:
        if not self.get_queryset().filter(pk=lead.pk).exists():
            raise taken_problem()
        return self.answer(lead)


@extend_schema_view(
    get=extend_schema(operation_id="leads_retrieve", description=ONLY_VISIBLE, summary="One lead")
)
class OneLead(LeadDoor, generics.RetrieveAPIView[Lead]):
    @extend_schema(
        operation_id="leads_change",
        summary="Change a lead",
        description="Fields not given stay. `phone` takes the place of the number that is dialled.",
        request=LeadBody,
        responses={200: LeadSerializer},
    )
    def patch(self, request: Request, **_kwargs: Any) -> Response:
        given = read(LeadBody, request, partial=True)
        try:
            return self.answer(change_lead(self.get_object(), given))
        except ExternalIdTaken as taken:
            raise taken_problem() from taken


def taken_problem() -> Conflict:
    return Conflict(_("Another lead has this external id."), "external_id_taken")
