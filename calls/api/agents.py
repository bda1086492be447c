"""`/api/v1/agents/`: who can speak."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers

from agents.models import Agent
from calls.api.fields import Told
from calls.api.pagination import Pages


class AgentSerializer(serializers.ModelSerializer[Agent]):
    active = serializers.SerializerMethodField(help_text="Whether it may call.")
    default_caller_id = serializers.CharField(source="default_caller_id.number", allow_null=True)
    pinned_version = Told(allow_null=True)

    class Meta:
        model = Agent
        fields = [
            "id", "name", "provider", "provider_agent_id", "pinned_version", "language", "voice",
            "opening_line", "default_caller_id", "max_concurrent_calls", "active",
        ]  # fmt: skip
        read_only_fields = fields

    def get_active(self, agent: Agent) -> bool:
        return agent.active and agent.gone_since is None


class AgentDoor(generics.GenericAPIView[Agent]):
    queryset = Agent.objects.select_related("default_caller_id")
    serializer_class = AgentSerializer
    pagination_class = Pages
    ordering = ("id",)


@extend_schema_view(get=extend_schema(operation_id="agents_list", summary="AI agents"))
class Agents(AgentDoor, generics.ListAPIView[Agent]):
    pass


@extend_schema_view(get=extend_schema(operation_id="agents_retrieve", summary="One AI agent"))
class OneAgent(AgentDoor, generics.RetrieveAPIView[Agent]):
    pass
