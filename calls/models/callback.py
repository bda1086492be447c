from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.models import E164_PATTERN, Agent, e164_field
from calls.models.visibility import lead_scope


class CallBackState(models.TextChoices):
    OPEN = "open", _("Promised")
    QUEUED = "queued", _("Waiting to be called")
    DONE = "done", _("Done")
    DROPPED = "dropped", _("Dropped")
    MISSED = "missed", _("Missed")


class CallBackKind(models.TextChoices):
    PROMISE = "promise", _("Promised")
    TASK = "task", _("For a person")


class CallBackQuerySet(models.QuerySet["CallBack"]):
    def visible_to(self, user: Any) -> Self:
        """Promises to leads the user sees, to nobody known, and the user's own."""
        scope = lead_scope(user, prefix="lead__")
        if not scope:
            return self
        return self.filter(scope | Q(lead__isnull=True) | Q(promised_by=user.pk))


class CallBack(models.Model):
    """A call that was promised, and that the filler turns into a Call minutes before `due_at`; or a task: one
    that a person is to make, or see to, from `due_at` on.
    """

    kind = models.CharField(_("kind"), max_length=10, choices=CallBackKind, default=CallBackKind.PROMISE)
    lead = models.ForeignKey(
        "calls.Lead", null=True, blank=True, on_delete=models.CASCADE, related_name="call_backs"
    )
    number = e164_field(verbose_name=_("number"))
    agent = models.ForeignKey(
        Agent, verbose_name=_("AI agent"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    due_at = models.DateTimeField(_("promised for"))
    promised_in = models.ForeignKey(
        "calls.Call",
        verbose_name=_("promised in"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="promises",
    )
    promised_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("promised by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    call = models.ForeignKey(
        "calls.Call",
        verbose_name=_("call"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    state = models.CharField(_("state"), max_length=10, choices=CallBackState, default=CallBackState.OPEN)
    note = models.CharField(_("note"), max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CallBackQuerySet.as_manager()

    class Meta:
        verbose_name = _("promise or task")
        verbose_name_plural = _("promises and tasks")
        ordering = ["due_at"]
        constraints = [
            models.CheckConstraint(condition=Q(number__regex=E164_PATTERN), name="call_back_number_is_e164"),
            models.CheckConstraint(
                condition=Q(state__in=CallBackState.values), name="call_back_state_is_known"
            ),
            models.CheckConstraint(condition=Q(kind__in=CallBackKind.values), name="call_back_kind_is_known"),
            models.CheckConstraint(
                condition=~Q(kind="task") | Q(agent__isnull=True, call__isnull=True),
                name="a_task_is_nobodys_but_a_persons",
            ),
            # One promise or task a call: reading the same analysis twice must not promise twice.
            models.UniqueConstraint(
                fields=["promised_in"], condition=Q(promised_in__isnull=False), name="one_promise_per_call"
            ),
        ]
        indexes = [
            # dialer.fill: promises about to be due.
            models.Index(fields=["due_at"], condition=Q(state="open", kind="promise"), name="call_back_due"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.due_at:%Y-%m-%d %H:%M}"

    @property
    def is_task(self) -> bool:
        return self.kind == CallBackKind.TASK

    @property
    def state_shown(self) -> str:
        """A task that is open was promised to nobody."""
        if self.is_task and self.state == CallBackState.OPEN:
            return gettext("To be done by a person")
        return self.get_state_display()
