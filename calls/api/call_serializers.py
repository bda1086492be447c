"""A call as other systems read it."""

from __future__ import annotations

from typing import Any, cast

from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from calls.api.fields import Told, Word
from calls.dialer import Desk, look, waiting
from calls.models import AnsweredBy, Call, CallStatus, Direction, Disposition, Outcome, Sentiment
from calls.models.webhook_event import EventSource


class WaitingSerializer(serializers.Serializer[Any]):
    """Why a queued call is not out yet."""

    code = serializers.CharField()
    detail = serializers.CharField(source="text")
    until = serializers.DateTimeField(allow_null=True)
    place = serializers.IntegerField(allow_null=True, help_text="1: goes out next.")
    expected_at = serializers.DateTimeField(allow_null=True)


class TurnSerializer(serializers.Serializer[Any]):
    """Something said; seconds into the recording."""

    role = serializers.CharField()
    content = serializers.CharField()
    start_s = serializers.FloatField(allow_null=True)
    end_s = serializers.FloatField(allow_null=True)


class EventSerializer(serializers.Serializer[Any]):
    """A fact about the call: told by webhook, or looked up by us."""

    event = serializers.CharField(source="name")
    source = serializers.ChoiceField(EventSource.choices)  # type: ignore[assignment]
    received_at = serializers.DateTimeField()


class CallListSerializer(serializers.ListSerializer[Any]):
    """What holds for every waiting call is asked once a page."""

    def to_representation(self, data: Any) -> list[Any]:
        rows = list(data)
        if any(call.status == CallStatus.QUEUED for call in rows):
            cast(dict[str, Any], self.context)["desk"] = look(now=timezone.now())
        return super().to_representation(rows)


class CallSerializer(serializers.ModelSerializer[Call]):
    direction = serializers.ChoiceField(Direction.choices)
    status = serializers.ChoiceField(CallStatus.choices)
    outcome = Word(
        Outcome.choices, allow_null=True, help_text="How the telephone call ended; null until it has."
    )
    answered_by = Word(AnsweredBy.choices, allow_null=True)
    disposition = Word(
        Disposition.choices,
        source="meaning",
        allow_null=True,
        help_text="What it meant: a person's word, else the analysis'.",
    )
    to_number = serializers.CharField()
    from_number = serializers.CharField()
    provider_call_id = Told(allow_null=True)
    disconnection_reason = Told(allow_null=True, help_text="As the phone company says it.")
    waiting_for = serializers.SerializerMethodField(help_text="Null unless the call is queued.")
    duration_ms = serializers.IntegerField(allow_null=True, help_text="Talk time.")
    cost_micros = serializers.IntegerField(allow_null=True, help_text="Millionths of `currency`.")
    currency = Told(allow_null=True)
    sentiment = Word(Sentiment.choices, allow_null=True)
    summary = Told(allow_null=True)
    analysis = serializers.DictField()

    class Meta:
        model = Call
        list_serializer_class = CallListSerializer
        fields = [
            "id", "direction", "status", "outcome", "answered_by", "disposition", "lead", "agent",
            "to_number", "from_number", "attempt", "provider_call_id", "disconnection_reason",
            "requested_at", "due_at", "not_after", "waiting_for", "placed_at", "answered_at", "ended_at",
            "duration_ms", "cost_micros", "currency", "sentiment", "summary", "successful", "in_voicemail",
            "analysis", "final",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(WaitingSerializer(allow_null=True))
    def get_waiting_for(self, call: Call) -> dict[str, Any] | None:
        desk: Desk | None = self.context.get("desk")
        # A place in the queue costs a query: told for one call, not for each of a page.
        found = waiting(call, now=desk.now if desk else timezone.now(), desk=desk, place=desk is None)
        return dict(WaitingSerializer(found).data) if found else None


class CallDetailSerializer(CallSerializer):
    transcript = serializers.SerializerMethodField()
    events = serializers.SerializerMethodField()

    class Meta(CallSerializer.Meta):
        fields = [*CallSerializer.Meta.fields, "transcript", "events"]
        read_only_fields = fields

    @extend_schema_field(TurnSerializer(many=True))
    def get_transcript(self, call: Call) -> list[dict[str, Any]]:
        try:
            turns = call.transcript.turns
        except ObjectDoesNotExist:
            return []
        return [{name: turn.get(name) for name in ("role", "content", "start_s", "end_s")} for turn in turns]

    @extend_schema_field(EventSerializer(many=True))
    def get_events(self, call: Call) -> list[dict[str, Any]]:
        facts = call.events.order_by("received_at", "pk").only("name", "source", "received_at", "call_id")
        return list(EventSerializer(facts, many=True).data)
