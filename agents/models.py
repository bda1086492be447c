"""Supply: who can speak, and over which line."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents import phone
from agents.providers.registry import choices as provider_choices

LONGEST_CONFIRMATION_MS = 2000
E164_PATTERN = r"^\+[1-9][0-9]{6,14}$"


def e164_field(**options: object) -> models.CharField[str, str]:
    """A number as `agents.phone.to_e164` leaves it. The constraint beside it is the database's own word."""
    return models.CharField(max_length=16, validators=[RegexValidator(phone.E164)], **options)  # type: ignore[arg-type]


class PhoneNumberQuerySet(models.QuerySet["PhoneNumber"]):
    def working(self) -> PhoneNumberQuerySet:
        """Switched on here, and still at the phone company."""
        return self.filter(active=True, gone_since__isnull=True)

    def usable(self) -> PhoneNumberQuerySet:
        """As caller ID. What is kept back among those that work may make test calls only."""
        return self.working().filter(held_back=False)

    def keeps_back(self, number: str) -> bool:
        return self.filter(number=number, held_back=True).exists()

    def why_not_from(self, number: str) -> str:
        """Why nobody is called from a number that is not among the usable ones."""
        if self.keeps_back(number):
            told = gettext(
                "%(number)s is not offered as caller ID: whoever rings it back might reach nobody."
                " Its page under Phone numbers says what is missing."
            )
        else:
            told = gettext("%(number)s is not one of our active numbers.")
        return told % {"number": number}


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
    fallback_number = models.CharField(
        _("rung when nobody can answer"), max_length=40, blank=True, editable=False
    )
    held_back = models.BooleanField(_("not offered as caller ID yet"), default=False, editable=False)
    """Who rings back might reach nobody. See `agents.number_completion`."""
    offered_at = models.DateTimeField(_("offered all the same since"), null=True, blank=True, editable=False)
    offered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        editable=False,
    )
    offered_reason = models.CharField(
        _("why it is offered all the same"), max_length=300, blank=True, editable=False
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
            models.CheckConstraint(
                condition=Q(offered_at__isnull=True, offered_reason="")
                | Q(offered_at__isnull=False) & ~Q(offered_reason=""),
                name="number_is_offered_with_a_reason",
            ),
        ]

    def __str__(self) -> str:
        shown = phone.pretty(self.number)
        return f"{self.label} ({shown})" if self.label else shown

    @property
    def is_usable(self) -> bool:
        """As `usable`."""
        return self.active and self.gone_since is None and not self.held_back


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


class SetupStep(models.TextChoices):
    """In their order: each needs those before it, and is taken back before them."""

    NUMBER = "number", _("A number of the Twilio account")
    TRUNK = "trunk", _("A trunk")
    SIGN_IN = "sign_in", _("Credentials, and the way to Retell")
    ATTACH = "attach", _("The number goes onto the trunk")
    IMPORT = "import", _("Retell gets the number")
    PROOF = "proof", _("One call out, one call in")


class StepState(models.TextChoices):
    OPEN = "open", _("Not done yet")
    DONE = "done", _("Done")
    FAILED = "failed", _("It did not work")
    UNCLEAR = "unclear", _("Not known whether it was done")


class NumberSetup(models.Model):
    """How a number of the Twilio account becomes one that calls and is called through Retell.

    What each step made or found, by its id there, so that it can be repeated and taken back. The SIP password
    is not among it: it is made, sent to both sides, and forgotten.
    """

    number = e164_field(verbose_name=_("number"), unique=True)
    number_sid = models.CharField(max_length=34)
    label = models.CharField(_("label"), max_length=80, blank=True)
    mark = models.CharField(max_length=8, unique=True)
    """In the name of all that is made for it: by this it is found again after an unclear answer."""
    began_at = models.DateTimeField(_("begun"))
    began_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    busy_until = models.DateTimeField(null=True, blank=True)
    """Somebody is at one of its steps."""
    busy_token = models.UUIDField(null=True, blank=True)

    trunk_sid = models.CharField(max_length=34, blank=True)
    trunk_domain = models.CharField(max_length=100, blank=True)
    trunk_made = models.BooleanField(default=False)
    list_sid = models.CharField(max_length=34, blank=True)
    list_made = models.BooleanField(default=False)
    list_attached = models.BooleanField(default=False)
    """By us: lists that were on the trunk before stay there."""
    username = models.CharField(max_length=32, blank=True)
    credential_sid = models.CharField(max_length=34, blank=True)
    origination_sid = models.CharField(max_length=34, blank=True)
    origination_made = models.BooleanField(default=False)
    attached = models.BooleanField(default=False)
    """By us, or about to be; what follows is how calls in were answered before."""
    former_voice_url = models.CharField(_("former voice URL"), max_length=2000, blank=True)
    former_voice_method = models.CharField(max_length=4, blank=True)
    former_application_sid = models.CharField(max_length=34, blank=True)
    imported = models.BooleanField(default=False)
    """By us, or about to be: Retell did not have it when it was last asked before."""
    inbound_agent = models.ForeignKey(
        Agent,
        verbose_name=_("who answers"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    outbound_agent = models.ForeignKey(
        Agent, verbose_name=_("who calls"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    fallback_number = e164_field(verbose_name=_("rung when nobody can answer"), blank=True)

    called_out_at = models.DateTimeField(_("a call out was picked up"), null=True, blank=True)
    called_in_at = models.DateTimeField(_("a call in was answered"), null=True, blank=True)
    completed_at = models.DateTimeField(_("complete since"), null=True, blank=True)

    class Meta:
        verbose_name = _("set-up of a number")
        verbose_name_plural = _("set-ups of numbers")
        ordering = ["-began_at"]
        default_permissions = ()
        permissions = [
            ("offer_unproved_number", _("May offer a number as caller ID before it was called in on"))
        ]
        constraints = [
            models.CheckConstraint(condition=Q(number__regex=E164_PATTERN), name="setup_number_is_e164"),
            models.CheckConstraint(
                condition=Q(fallback_number="") | Q(fallback_number__regex=E164_PATTERN),
                name="setup_fallback_is_e164",
            ),
            models.CheckConstraint(
                condition=~Q(fallback_number=F("number")), name="setup_does_not_fall_back_to_itself"
            ),
            models.CheckConstraint(
                condition=Q(attached=False) | ~Q(trunk_sid=""), name="setup_is_attached_to_a_trunk"
            ),
            models.CheckConstraint(
                condition=Q(completed_at__isnull=True)
                | Q(called_out_at__isnull=False, called_in_at__isnull=False, inbound_agent__isnull=False)
                & ~Q(fallback_number=""),
                name="setup_is_complete_with_proof",
            ),
        ]

    def __str__(self) -> str:
        shown = phone.pretty(self.number)
        return f"{self.label} ({shown})" if self.label else shown


class NumberSetupStep(models.Model):
    """How far one step is; a row for each of the six."""

    setup = models.ForeignKey(NumberSetup, on_delete=models.CASCADE, related_name="steps")
    step = models.CharField(max_length=8, choices=SetupStep)
    state = models.CharField(max_length=8, choices=StepState, default=StepState.OPEN)
    problem = models.TextField(blank=True)
    """Why it did not work, or what to know of it."""
    at = models.DateTimeField(null=True, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["setup", "step"], name="one_row_per_step_of_a_setup"),
            models.CheckConstraint(condition=Q(step__in=SetupStep.values), name="setup_step_is_known"),
            models.CheckConstraint(condition=Q(state__in=StepState.values), name="setup_step_state_is_known"),
            models.CheckConstraint(
                condition=Q(state=StepState.OPEN, at__isnull=True)
                | ~Q(state=StepState.OPEN) & Q(at__isnull=False),
                name="setup_step_that_was_tried_says_when",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_step_display()}: {self.get_state_display()}"
