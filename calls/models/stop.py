from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from agents import phone
from agents.models import Agent, e164_field


class StopScope(models.TextChoices):
    EVERYTHING = "everything", _("All calling")
    AGENT = "agent", _("One AI agent")
    NUMBER = "number", _("One caller ID")
    LIST = "list", _("One list of leads")


class StopCause(models.TextChoices):
    PERSON = "person", _("Stopped by staff")
    REFUSED = "refused", _("Refused by the phone company")


class StopQuerySet(models.QuerySet["Stop"]):
    def in_force(self) -> Self:
        return self.filter(resumed_at__isnull=True)


class Stop(models.Model):
    """No calls out, for everything or for one agent, caller ID or list; kept when it is over, as the log.

    Written under the lock of the gate of kind `stop`, which every permit shares.
    """

    scope = models.CharField(_("what"), max_length=10, choices=StopScope, default=StopScope.EVERYTHING)
    agent = models.ForeignKey(
        Agent, verbose_name=_("AI agent"), null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    number = e164_field(verbose_name=_("caller ID"), blank=True)
    lead_list = models.ForeignKey(
        "calls.LeadList",
        verbose_name=_("list"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
    )
    cause = models.CharField(_("cause"), max_length=10, choices=StopCause, default=StopCause.PERSON)
    reason = models.CharField(_("why"), max_length=300, blank=True)
    stopped_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    stopped_at = models.DateTimeField(_("since"))
    resumed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    resumed_at = models.DateTimeField(_("until"), null=True, blank=True)
    resumed_reason = models.CharField(_("why it was resumed"), max_length=300, blank=True)

    objects = StopQuerySet.as_manager()

    class Meta:
        verbose_name = _("stop")
        verbose_name_plural = _("stops")
        ordering = ["-stopped_at"]
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(cause__in=StopCause.values), name="stop_cause_is_known"),
            models.CheckConstraint(
                condition=Q(scope="everything", agent__isnull=True, number="", lead_list__isnull=True)
                | Q(scope="agent", agent__isnull=False, number="", lead_list__isnull=True)
                | (Q(scope="number", agent__isnull=True, lead_list__isnull=True) & ~Q(number=""))
                | Q(scope="list", agent__isnull=True, number="", lead_list__isnull=False),
                name="stop_names_what_its_scope_says",
            ),
            models.UniqueConstraint(
                fields=["scope"],
                condition=Q(scope="everything", resumed_at__isnull=True),
                name="one_stop_of_everything",
            ),
            models.UniqueConstraint(
                fields=["agent"],
                condition=Q(scope="agent", resumed_at__isnull=True),
                name="one_stop_an_agent",
            ),
            models.UniqueConstraint(
                fields=["number"],
                condition=Q(scope="number", resumed_at__isnull=True),
                name="one_stop_a_caller_id",
            ),
            models.UniqueConstraint(
                fields=["lead_list"],
                condition=Q(scope="list", resumed_at__isnull=True),
                name="one_stop_a_list",
            ),
        ]

    def __str__(self) -> str:
        """What is stopped, as staff say it."""
        if self.scope == StopScope.AGENT:
            return _now("Calls by %(agent)s") % {"agent": self.agent}
        if self.scope == StopScope.NUMBER:
            return _now("Calls from %(number)s") % {"number": phone.pretty(self.number)}
        if self.scope == StopScope.LIST:
            return _now("Calls to the list %(list)s") % {"list": self.lead_list}
        return _now("All calling")

    def covers(self, *, agent_id: int | None, number: str, list_id: int | None) -> bool:
        """Whether a call by this agent, from this number of ours, to a lead of this list is stopped."""
        if self.scope == StopScope.AGENT:
            return agent_id is not None and agent_id == self.agent_id
        if self.scope == StopScope.NUMBER:
            return number == self.number
        if self.scope == StopScope.LIST:
            return list_id is not None and list_id == self.lead_list_id
        return True
