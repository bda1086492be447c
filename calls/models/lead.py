from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models import E164_PATTERN, e164_field
from calls.models.visibility import SEE_EVERYONES, lead_scope


class LeadList(models.Model):
    """Leads that came or belong together."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("list")
        verbose_name_plural = _("lists")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class LeadStatus(models.TextChoices):
    NEW = "new", _("New")
    CONTACTED = "contacted", _("Contacted")
    INTERESTED = "interested", _("Interested")
    CUSTOMER = "customer", _("Customer")
    NOT_INTERESTED = "not_interested", _("Not interested")
    UNREACHABLE = "unreachable", _("Cannot be reached")


class NextAction(models.TextChoices):
    NONE = "", _("Nothing planned")
    CALL = "call", _("Call")
    CALL_BACK = "call_back", _("Call back as promised")
    FOLLOW_UP = "follow_up", _("Follow up by a person")
    FIX_NUMBER = "fix_number", _("Find the right number")


class ZoneSource(models.TextChoices):
    """How the time zone is known. Only `stated` is one zone for sure; a number may leave several."""

    UNKNOWN = "", _("Not known")
    STATED = "stated", _("Stated")
    NUMBER = "number", _("From the number")


class LeadSource(models.TextChoices):
    MANUAL = "manual", _("Added by hand")
    IMPORT = "import", _("Import")
    API = "api", _("Other system")
    INBOUND = "inbound", _("Rang us")


class LeadQuerySet(models.QuerySet["Lead"]):
    def visible_to(self, user: Any) -> Self:
        return self.filter(lead_scope(user))


class Lead(models.Model):
    """A person we may call."""

    name = models.CharField(_("name"), max_length=200)
    company = models.CharField(_("company"), max_length=200, blank=True)
    email = models.EmailField(_("e-mail"), blank=True)
    list = models.ForeignKey(
        LeadList,
        verbose_name=_("list"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="leads",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="leads",
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        help_text=_("Such as Europe/Berlin. Empty: taken from the number."),
    )
    time_zone_source = models.CharField(
        _("how the zone is known"), max_length=10, choices=ZoneSource, default=ZoneSource.UNKNOWN, blank=True
    )
    custom = models.JSONField(_("custom fields"), default=dict, blank=True)
    external_id = models.CharField(
        _("id in the other system"), max_length=120, null=True, blank=True, unique=True
    )  # NULL, not '', so that the unique constraint lets many leads have none
    source = models.CharField(_("source"), max_length=10, choices=LeadSource, default=LeadSource.MANUAL)
    status = models.CharField(
        _("status"), max_length=20, choices=LeadStatus, default=LeadStatus.NEW, db_index=True
    )
    reason = models.CharField(_("why we call"), max_length=300, blank=True)
    next_action = models.CharField(
        _("next action"), max_length=20, choices=NextAction, default=NextAction.NONE, blank=True
    )
    next_action_at = models.DateTimeField(_("when"), null=True, blank=True)
    created_at = models.DateTimeField(_("added"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = LeadQuerySet.as_manager()

    class Meta:
        verbose_name = _("lead")
        verbose_name_plural = _("leads")
        permissions = [
            (SEE_EVERYONES.split(".")[1], _("Sees everybody's leads and calls")),
            ("import_lead", _("May import leads")),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=LeadStatus.values), name="lead_status_is_known"),
            models.CheckConstraint(condition=~Q(external_id=""), name="lead_external_id_is_not_empty"),
        ]
        indexes = [
            models.Index(fields=["owner", "status"], name="lead_owner_status"),
            # The filler's look for what is due; the desk's "next action" column.
            models.Index(
                fields=["next_action_at"], condition=~Q(next_action=""), name="lead_next_action_due"
            ),
            models.Index(fields=["-created_at"], name="lead_newest"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def spoken_name(self) -> str:
        """'' where nobody knows it and a telephone number stands in its place."""
        return self.name if any(sign.isalpha() for sign in self.name) else ""

    @property
    def first_name(self) -> str:
        return next(iter(self.spoken_name.split()), "")


class PhoneKind(models.TextChoices):
    MOBILE = "mobile", _("Mobile")
    WORK = "work", _("Work")
    HOME = "home", _("Home")
    OTHER = "other", _("Other")


class PhoneState(models.TextChoices):
    VALID = "valid", _("Valid")
    WRONG = "wrong", _("Wrong number")


class LeadPhone(models.Model):
    """One number of a lead. The lowest `position` that is valid is the one we dial."""

    lead = models.ForeignKey(Lead, verbose_name=_("lead"), on_delete=models.CASCADE, related_name="phones")
    number = e164_field(verbose_name=_("number"), db_index=True)
    kind = models.CharField(_("kind"), max_length=10, choices=PhoneKind, default=PhoneKind.MOBILE)
    position = models.PositiveSmallIntegerField(_("order"), default=0)
    state = models.CharField(_("state"), max_length=10, choices=PhoneState, default=PhoneState.VALID)

    class Meta:
        verbose_name = _("phone number")
        verbose_name_plural = _("phone numbers")
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["lead", "number"], name="lead_has_a_number_once"),
            models.CheckConstraint(condition=Q(number__regex=E164_PATTERN), name="lead_number_is_e164"),
            models.CheckConstraint(
                condition=Q(state__in=PhoneState.values), name="lead_number_state_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.number


class Note(models.Model):
    """What a person wrote down, on a lead and perhaps on one call."""

    lead = models.ForeignKey(
        Lead, verbose_name=_("lead"), null=True, blank=True, on_delete=models.CASCADE, related_name="notes"
    )
    call = models.ForeignKey(
        "calls.Call",
        verbose_name=_("call"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="notes",
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("author"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    text = models.TextField(_("note"))
    created_at = models.DateTimeField(_("written"), auto_now_add=True)

    class Meta:
        verbose_name = _("note")
        verbose_name_plural = _("notes")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(lead__isnull=False) | Q(call__isnull=False), name="note_is_about_something"
            ),
            models.CheckConstraint(condition=~Q(text=""), name="note_is_not_empty"),
        ]

    def __str__(self) -> str:
        return self.text[:80]
