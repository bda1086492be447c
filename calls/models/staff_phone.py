from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models import E164_PATTERN, e164_field


class StaffPhone(models.Model):
    """The telephone at which one of us is rung for calls made without AI. Asked once."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, verbose_name=_("whose"), on_delete=models.CASCADE, related_name="desk_phone"
    )
    number = e164_field(verbose_name=_("number"))
    updated_at = models.DateTimeField(_("since"), auto_now=True)

    class Meta:
        default_permissions = ()
        verbose_name = _("own telephone")
        verbose_name_plural = _("own telephones")
        constraints = [
            models.CheckConstraint(condition=Q(number__regex=E164_PATTERN), name="staff_phone_is_e164")
        ]

    def __str__(self) -> str:
        return self.number
