from __future__ import annotations

import uuid
from collections.abc import Mapping

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from agents import phone
from agents.models import Agent
from calls.models.call import Call
from calls.models.staff_phone import StaffPhone

KEYS = range(1, 10)
MOST_TRIES = 5


class MenuAction(models.TextChoices):
    """What a key leads to."""

    AGENT = "agent", _("An AI agent")
    DESK = "desk", _("A telephone of ours")
    MESSAGE = "message", _("A message to leave")
    NEVER = "never", _("Never call again")


OFFERED_AS: Mapping[str, Promise] = {
    MenuAction.AGENT: _("to speak with our AI assistant"),
    MenuAction.DESK: _("to speak with one of us"),
    MenuAction.MESSAGE: _("to leave a message"),
    MenuAction.NEVER: _("never to be called again"),
}


class MenuEnd(models.TextChoices):
    MESSAGE = "message", _("They can leave a message")
    GOODBYE = "goodbye", _("We say goodbye")


class Menu(models.Model):
    """What somebody hears who rings a number that points here: a greeting, and a key for each offer."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=80, unique=True)
    greeting = models.CharField(
        _("greeting"), max_length=600, help_text=_("Said once, before the keys are offered.")
    )
    silence = models.CharField(_("when nothing is pressed"), max_length=300, default="We did not hear a key.")
    wrong_key = models.CharField(
        _("when the key leads nowhere"), max_length=300, default="That key leads nowhere."
    )
    tries = models.PositiveSmallIntegerField(
        _("how often the keys are offered"),
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_TRIES)],
        help_text=_("1 to 5."),
    )
    at_end = models.CharField(
        _("after that, or when nobody picks up"), max_length=10, choices=MenuEnd, default=MenuEnd.MESSAGE
    )
    notice = models.CharField(
        _("before a message is recorded"),
        max_length=300,
        default="Please leave a message after the tone. It is recorded. Press any key when you are done.",
    )
    goodbye = models.CharField(_("goodbye"), max_length=300, default="Thank you for calling. Goodbye.")

    class Meta:
        verbose_name = _("telephone menu")
        verbose_name_plural = _("telephone menus")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(tries__gte=1, tries__lte=MOST_TRIES), name="menu_offers_one_to_five_times"
            ),
            models.CheckConstraint(condition=Q(at_end__in=MenuEnd.values), name="menu_end_is_known"),
            models.CheckConstraint(
                condition=~Q(greeting="")
                & ~Q(silence="")
                & ~Q(wrong_key="")
                & ~Q(notice="")
                & ~Q(goodbye=""),
                name="menu_says_something",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MenuKey(models.Model):
    """One key of a menu."""

    menu = models.ForeignKey(Menu, on_delete=models.CASCADE, related_name="keys")
    key = models.PositiveSmallIntegerField(_("key"), choices=[(key, str(key)) for key in KEYS])
    what = models.CharField(_("leads to"), max_length=10, choices=MenuAction)
    agent = models.ForeignKey(
        Agent, verbose_name=_("AI agent"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    desk = models.ForeignKey(
        StaffPhone,
        verbose_name=_("telephone of ours"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
    )
    offered_as = models.CharField(
        _("offered as"),
        max_length=120,
        blank=True,
        help_text=_("Goes on after “Press 1”: to ask about a bill. Empty: the usual words."),
    )

    class Meta:
        verbose_name = _("key of a menu")
        verbose_name_plural = _("keys of menus")
        ordering = ["key"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["menu", "key"], name="a_key_leads_to_one_thing"),
            models.CheckConstraint(condition=Q(key__gte=1, key__lte=9), name="menu_key_is_one_to_nine"),
            models.CheckConstraint(condition=Q(what__in=MenuAction.values), name="menu_action_is_known"),
            models.CheckConstraint(
                condition=Q(what="agent", agent__isnull=False) | (~Q(what="agent") & Q(agent__isnull=True)),
                name="menu_key_names_an_agent_when_it_leads_to_one",
            ),
            models.CheckConstraint(
                condition=Q(what="desk", desk__isnull=False) | (~Q(what="desk") & Q(desk__isnull=True)),
                name="menu_key_names_a_telephone_when_it_leads_to_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.get_what_display()}"

    @property
    def words(self) -> str:
        """What is said after "Press 1"."""
        return self.offered_as or str(OFFERED_AS[self.what])


class MenuVisit(models.Model):
    """Which menu somebody who rang us heard."""

    call = models.OneToOneField(Call, primary_key=True, on_delete=models.CASCADE, related_name="menu_visit")
    menu = models.ForeignKey(Menu, null=True, blank=True, on_delete=models.SET_NULL, related_name="visits")

    class Meta:
        verbose_name = _("visit to a menu")
        verbose_name_plural = _("visits to menus")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.menu)


class MenuPress(models.Model):
    """One time that the keys were offered, and what was pressed. Asked again it is the same one."""

    visit = models.ForeignKey(MenuVisit, on_delete=models.CASCADE, related_name="presses")
    turn = models.PositiveSmallIntegerField(_("time"))
    key = models.CharField(_("pressed"), max_length=8, blank=True)
    """'' for nothing."""
    what = models.CharField(_("which led to"), max_length=10, choices=MenuAction, blank=True)
    told = models.CharField(_("in words"), max_length=300, blank=True)
    pressed_at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("key pressed in a menu")
        verbose_name_plural = _("keys pressed in menus")
        ordering = ["turn"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["visit", "turn"], name="one_press_a_turn"),
            models.CheckConstraint(
                condition=Q(what="") | Q(what__in=MenuAction.values), name="menu_press_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.key or "-"


class PlaceKind(models.TextChoices):
    NUMBER = "number", _("A number")
    TRUNK = "trunk", _("A trunk, when it does not reach the AI agents")


class VoicePlace(models.Model):
    """A number of the Twilio account or one of its trunks: who is asked when somebody rings, as Twilio said
    last; and, where we have pointed it at a menu, how it was before, so that it can be undone.
    """

    kind = models.CharField(_("what"), max_length=10, choices=PlaceKind)
    sid = models.CharField(_("id at Twilio"), max_length=40, unique=True)
    name = models.CharField(_("number or trunk"), max_length=120)
    """E.164, or the trunk's domain."""
    leads_to = models.CharField(_("who is asked"), max_length=2000, blank=True)
    """An address; '' for none."""
    menu = models.ForeignKey(
        Menu, verbose_name=_("menu"), null=True, blank=True, on_delete=models.SET_NULL, related_name="places"
    )
    """Which one of ours that address is."""
    trunk = models.CharField(_("trunk"), max_length=120, blank=True)
    """Of a number on one: its own address is never asked."""
    application = models.BooleanField(_("belongs to an application"), default=False)
    numbers = models.JSONField(_("its numbers"), default=list, blank=True)
    seen_at = models.DateTimeField(_("seen"))
    former = models.JSONField(_("as it was before"), null=True, blank=True)
    """By the names of `Twilio.change_number` or `Trunking.change_trunk`; null: we have not changed it."""
    pointed_at = models.DateTimeField(_("pointed"), null=True, blank=True)
    pointed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = _("number or trunk at Twilio")
        verbose_name_plural = _("numbers and trunks at Twilio")
        ordering = ["kind", "name"]
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=PlaceKind.values), name="voice_place_kind_is_known"),
            models.CheckConstraint(
                condition=Q(former__isnull=True, pointed_at__isnull=True)
                | Q(former__isnull=False, pointed_at__isnull=False),
                name="what_we_pointed_can_be_undone",
            ),
        ]

    def __str__(self) -> str:
        return phone.pretty(self.name) if self.kind == PlaceKind.NUMBER else self.name
