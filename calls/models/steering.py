from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from calls.models.call import Call


class Steering(models.Model):
    """What somebody said to the AI agent of a call that was on, whether it was taken or not."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="steerings")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    api_key = models.ForeignKey(
        "calls.ApiKey", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    said_at = models.DateTimeField(_("when"))
    context = models.TextField(_("what it was told"), blank=True)
    answer_now = models.BooleanField(_("was made to answer"), default=False)
    variables = models.JSONField(_("what was changed"), default=dict, blank=True)
    """{name: text}; None: as it was before the call's changes."""
    taken_at = models.DateTimeField(null=True, blank=True)
    """When the phone company had taken it. Neither this nor `problem`: nobody knows."""
    problem = models.CharField(_("why it was not taken"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("word to an AI agent")
        verbose_name_plural = _("words to AI agents")
        default_permissions = ()
        ordering = ["said_at", "pk"]

    def __str__(self) -> str:
        return self.context or ", ".join(self.variables)
