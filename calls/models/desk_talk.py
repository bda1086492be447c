from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models import E164_PATTERN, e164_field
from calls.models.call import Call


class DeskState(models.TextChoices):
    """Where the two telephones of a call are that one of us makes."""

    BRIDGED = "bridged", _("Talking")
    """As they were connected first."""
    HOLD = "hold", _("On hold")
    COMING = "coming", _("Being connected again")
    """Theirs is on its way into the conference, and ours waits for it."""
    ROOM = "room", _("Talking")
    """In the conference."""
    COLLEAGUE = "colleague", _("A colleague is being rung")
    HANDED_OVER = "handed_over", _("With a colleague")
    TOGETHER = "together", _("Talking, with a colleague")
    """In the conference, all three: it is the colleague's call, and whoever began it may leave."""
    MESSAGE = "message", _("A message is being left")


class DeskTalk(models.Model):
    """Where a call that one of us makes has been sent while it is on; no row: where it was connected first.

    The telephones ask what to do, theirs and ours each by itself; this row is what they are told.
    """

    call = models.OneToOneField(Call, primary_key=True, on_delete=models.CASCADE, related_name="desk_talk")
    state = models.CharField(max_length=12, choices=DeskState, default=DeskState.BRIDGED)
    since = models.DateTimeField()
    joined = models.BooleanField(default=False)
    """Ours was sent into the conference after theirs."""

    class Meta:
        verbose_name = _("talk of a call without AI")
        verbose_name_plural = _("talks of calls without AI")
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(state__in=DeskState.values), name="desk_state_is_known")
        ]
        indexes = [
            # desk_talk.free_ours: who may be alone in a conference.
            models.Index(fields=["since"], condition=Q(joined=True), name="desk_talk_joined")
        ]

    def __str__(self) -> str:
        return f"{self.call_id} {self.state}"


class DeskActionKind(models.TextChoices):
    HOLD = "hold", _("Put on hold")
    OFF_HOLD = "off_hold", _("Taken off hold")
    KEYS = "keys", _("Keys pressed")
    TRANSFER = "transfer", _("Transferred to a colleague")
    JOIN = "join", _("Joined the colleague")
    MESSAGE = "message", _("Message left")


class DeskActionQuerySet(models.QuerySet["DeskAction"]):
    def left_a_message(self, call: Call) -> bool:
        """On their mailbox, by whoever made that call."""
        return self.filter(call=call.pk, kind=DeskActionKind.MESSAGE, done_at__isnull=False).exists()


class DeskAction(models.Model):
    """What somebody did with a call without AI while it was on, whether it could be done or not."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="desk_actions")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    kind = models.CharField(max_length=10, choices=DeskActionKind)
    at = models.DateTimeField(_("when"))
    said = models.TextField(_("what their mailbox is told"), blank=True)
    keys = models.PositiveSmallIntegerField(_("how many keys"), default=0)
    """Which ones is not kept: they may be somebody's secret number."""
    colleague = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    number = e164_field(verbose_name=_("the colleague's telephone"), blank=True)
    leg_id = models.CharField(_("the colleague's telephone, at the phone company"), max_length=40, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    """When their telephone did it. Neither this nor `problem`: nobody knows."""
    taken_at = models.DateTimeField(null=True, blank=True)
    """When the colleague pressed 1."""
    problem = models.CharField(_("why not"), max_length=300, blank=True)

    objects = DeskActionQuerySet.as_manager()

    class Meta:
        verbose_name = _("action in a call without AI")
        verbose_name_plural = _("actions in calls without AI")
        default_permissions = ()
        ordering = ["at", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=DeskActionKind.values), name="desk_action_kind_is_known"
            ),
            models.CheckConstraint(
                condition=Q(number="") | Q(number__regex=E164_PATTERN), name="desk_action_number_is_e164"
            ),
            models.CheckConstraint(
                condition=Q(taken_at__isnull=True) | Q(kind="transfer"), name="only_a_transfer_is_taken"
            ),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()


class VoicemailMessageQuerySet(models.QuerySet["VoicemailMessage"]):
    def said_by(self, user: Any) -> VoicemailMessage | None:
        """This person's own, else the one for everybody."""
        own = self.filter(Q(user=user.pk) | Q(user__isnull=True))
        return own.order_by(models.F("user").asc(nulls_last=True)).first()


class VoicemailMessage(models.Model):
    """What is spoken to a mailbox, by the telephone network's own voice, when one of us leaves a message."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("whose"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="voicemail_message",
        help_text=_("Nobody: for everybody who has none of their own."),
    )
    text = models.TextField(
        _("message"),
        max_length=1000,
        help_text=_("{name} becomes the name of whoever is called, {caller} that of whoever calls."),
    )
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = VoicemailMessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message for mailboxes")
        verbose_name_plural = _("messages for mailboxes")
        constraints = [
            models.UniqueConstraint(
                models.Value(1),
                condition=Q(user__isnull=True),
                name="one_voicemail_message_for_everybody",
                violation_error_message=_("There is one for everybody already."),
            ),
            models.CheckConstraint(condition=~Q(text=""), name="voicemail_message_says_something"),
        ]

    def __str__(self) -> str:
        return self.text[:60]
