from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from calls.models.call import Call


class CopyState(models.TextChoices):
    WAITING = "waiting", _("To be copied")
    COPYING = "copying", _("Being copied")
    KEPT = "kept", _("Kept here")
    FAILED = "failed", _("Could not be copied")
    DELETED = "deleted", _("Deleted")


class RecordingCopy(models.Model):
    """The sound of a call as a file of ours. A killed copy goes on where the file ends."""

    call = models.OneToOneField(
        Call, primary_key=True, on_delete=models.CASCADE, related_name="recording_copy"
    )
    state = models.CharField(_("state"), max_length=8, choices=CopyState, default=CopyState.WAITING)
    token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField()
    problem = models.CharField(_("problem"), max_length=300, blank=True)
    content_type = models.CharField(max_length=60, blank=True)
    size = models.BigIntegerField(_("size in bytes"), default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    copied_at = models.DateTimeField(_("copied"), null=True, blank=True)

    class Meta:
        verbose_name = _("copy of a recording")
        verbose_name_plural = _("copies of recordings")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=CopyState.values), name="copy_state_is_known"),
            models.CheckConstraint(
                condition=~Q(state="kept") | (~Q(sha256="") & Q(copied_at__isnull=False)),
                name="kept_copy_has_a_checksum",
            ),
        ]
        indexes = [
            # recording_copies.due: what to copy next.
            models.Index(
                fields=["next_try_at"], condition=Q(state__in=["waiting", "copying"]), name="copy_due"
            ),
            # admin.now: what could not be copied.
            models.Index(fields=["call"], condition=Q(state="failed"), name="copy_failed"),
        ]

    def __str__(self) -> str:
        return str(self.call_id)

    @property
    def path(self) -> Path:
        """Where the finished file lies; spread over 256 folders."""
        name = str(self.call_id)
        return Path(settings.MEDIA_ROOT) / "recordings" / name[:2] / name

    @property
    def unfinished_path(self) -> Path:
        """In the same file system, so that the end is a rename."""
        return self.path.with_name(f"{self.call_id}.part")
