"""Supply: who can speak, and over which line."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents import phone
from agents.providers.registry import choices as provider_choices

LONGEST_CONFIRMATION_MS = 2000
E164_PATTERN = r"^\+[1-9][0-9]{6,14}$"


def e164_field(**options: object) -> models.CharField[str, str]:
    """A number as `agents.phone.to_e164` leaves it. The constraint beside it is the database's own word."""
    return models.CharField(max_length=16, validators=[RegexValidator(phone.E164)], **options)  # type: ignore[arg-type]


class PhoneNumberQuerySet(models.QuerySet["PhoneNumber"]):
    def usable(self) -> PhoneNumberQuerySet:
        """As caller ID: switched on here, and still at the phone company."""
        return self.filter(active=True, gone_since__isnull=True)


class PhoneNumber(models.Model):
    """A number of ours: caller ID for calls out, and where people ring back."""

    number = e164_field(verbose_name=_("number"), unique=True)
    label = models.CharField(_("label"), max_length=80, blank=True)
    provider = models.CharField(_("phone company"), max_length=30, choices=provider_choices, default="retell")
    provider_number_id = models.CharField(_("id at the phone company"), max_length=120, blank=True)
    line = models.CharField(
        _("line"),
        max_length=60,
        default="default",
        help_text=_("Numbers on one line share one pace of dialling."),
    )
    active = models.BooleanField(_("may be used as caller ID"), default=True)
    inbound_agent = models.ForeignKey(
        "Agent",
        verbose_name=_("who answers"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="answers_numbers",
    )
    inbound_webhook_url = models.CharField(
        _("who is asked when it rings"), max_length=500, blank=True, editable=False
    )
    last_synced_at = models.DateTimeField(_("last synced"), null=True, blank=True, editable=False)
    gone_since = models.DateTimeField(_("gone since"), null=True, blank=True, editable=False)
    """Set by a sync that no longer found it at the phone company; rows of calls keep pointing to it."""

    objects = PhoneNumberQuerySet.as_manager()

    class Meta:
        verbose_name = _("phone number")
        verbose_name_plural = _("phone numbers")
        ordering = ["label", "number"]
        constraints = [
            models.CheckConstraint(condition=Q(number__regex=E164_PATTERN), name="our_number_is_e164"),
        ]

    def __str__(self) -> str:
        shown = phone.pretty(self.number)
        return f"{self.label} ({shown})" if self.label else shown


class WhenRefused(models.TextChoices):
    """What happens instead of a call that the agent's phone company definitely refuses."""

    NOTHING = "nothing", _("Nothing: it ends, or waits")
    TASK = "task", _("A person gets a task")
    DESK = "desk", _("Whoever asked is rung, and makes the call")


class AgentQuerySet(models.QuerySet["Agent"]):
    def callable_now(self) -> AgentQuerySet:
        return self.filter(active=True, gone_since__isnull=True)


class Agent(models.Model):
    """The voice persona that talks. People who work here are staff, never agents."""

    name = models.CharField(_("name"), max_length=120)
    provider = models.CharField(_("phone company"), max_length=30, choices=provider_choices, default="retell")
    provider_agent_id = models.CharField(_("id at the phone company"), max_length=120)
    pinned_version = models.CharField(
        _("pinned version"),
        max_length=60,
        blank=True,
        help_text=_("Empty: the newest published version speaks."),
    )
    language = models.CharField(_("language"), max_length=60, blank=True)
    voice = models.CharField(_("voice"), max_length=80, blank=True)
    opening_line = models.TextField(_("opening line"), blank=True)
    default_caller_id = models.ForeignKey(
        PhoneNumber,
        verbose_name=_("default caller ID"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="default_for_agents",
    )
    max_concurrent_calls = models.PositiveIntegerField(
        _("calls at once"), null=True, blank=True, help_text=_("Empty: only the account's limit counts.")
    )
    confirm_interruption_ms = models.PositiveIntegerField(
        _("wait before it is interrupted (ms)"),
        default=0,
        help_text=_(
            "0: it stops as soon as the person makes a sound. With 300 it goes on unless words are heard, so "
            "that a barking dog or a short “yes” does not stop it. At most 2000."
        ),
        validators=[MaxValueValidator(LONGEST_CONFIRMATION_MS)],
    )
    when_refused = models.CharField(
        _("when the phone company cannot make its call"),
        max_length=10,
        choices=WhenRefused,
        default=WhenRefused.NOTHING,
        help_text=_(
            "Only when it is sure that nobody was rung, and the reason is neither the person's number nor "
            "the account. A call from one's own telephone needs a Twilio account; else it is a task."
        ),
    )
    active = models.BooleanField(_("may call"), default=True)
    paused_reason = models.CharField(_("why it may not call"), max_length=300, blank=True)
    analysis_fields = models.JSONField(_("analysis fields"), default=list, blank=True)
    profile = models.JSONField(
        _("as the phone company has it"), default=dict, blank=True, editable=False
    )  # an AgentProfile as a dict: what the readiness card was judged on
    draft = models.JSONField(
        _("as it was created from here"), default=dict, blank=True, editable=False
    )  # an AgentDraft as a dict; empty for what was made at the phone company
    created_there_at = models.DateTimeField(
        _("created at the phone company"), null=True, blank=True, editable=False
    )
    last_synced_at = models.DateTimeField(_("last synced"), null=True, blank=True, editable=False)
    gone_since = models.DateTimeField(_("gone since"), null=True, blank=True, editable=False)
    """Set by a sync that no longer found it at the phone company; readiness is red."""

    objects = AgentQuerySet.as_manager()

    class Meta:
        verbose_name = _("AI agent")
        verbose_name_plural = _("AI agents")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "provider_agent_id"], name="one_row_per_provider_agent"
            ),
            models.CheckConstraint(
                condition=Q(max_concurrent_calls__isnull=True) | Q(max_concurrent_calls__gte=1),
                name="agent_limit_is_at_least_one",
            ),
            models.CheckConstraint(
                condition=Q(confirm_interruption_ms__lte=LONGEST_CONFIRMATION_MS),
                name="confirmation_is_at_most_two_seconds",
            ),
            models.CheckConstraint(
                condition=Q(when_refused__in=WhenRefused.values), name="when_refused_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name
