from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from calls.models.call import Call


class Transcript(models.Model):
    """What was said; kept off the call's row so that lists stay narrow.

    `turns`: [{role, content, start_s, end_s, words: [[word, start_s, end_s], ...]}], seconds of audio.
    """

    call = models.OneToOneField(Call, primary_key=True, on_delete=models.CASCADE, related_name="transcript")
    turns = models.JSONField(default=list)
    text = models.TextField(blank=True)

    class Meta:
        verbose_name = _("transcript")
        verbose_name_plural = _("transcripts")

    def __str__(self) -> str:
        return self.text[:80]
