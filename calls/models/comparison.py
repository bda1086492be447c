from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

SEEN_AT = Coalesce("placed_at", "requested_at")
"""When the phone company has known a call since: what comparisons and the index for them go by."""


class ComparisonState(models.TextChoices):
    THEIRS = "theirs", _("Reading their list")
    OURS = "ours", _("Looking up our calls")
    AFTER = "after", _("Waiting for what was fetched to be read")
    DONE = "done", _("Done")
    FAILED = "failed", _("Given up")


UNFINISHED = (ComparisonState.THEIRS, ComparisonState.OURS, ComparisonState.AFTER)


class Comparison(models.Model):
    """Our calls of some hours against the phone company's list. A killed one goes on at `page_key`."""

    name = models.CharField(max_length=10, default="hourly", editable=False)
    since = models.DateTimeField(_("calls from"))
    until = models.DateTimeField(_("calls until"))
    state = models.CharField(
        _("state"), max_length=8, choices=ComparisonState, default=ComparisonState.THEIRS
    )
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    next_step_at = models.DateTimeField()
    page_key = models.CharField(max_length=500, blank=True)
    """Where to go on: their page while reading their list, the last id while looking up ours."""
    theirs = models.PositiveIntegerField(_("in their list"), default=0)
    ours = models.PositiveIntegerField(_("calls of ours"), default=0)
    foreign = models.PositiveIntegerField(_("of another use of the account"), default=0)
    failures = models.PositiveIntegerField(default=0)
    problem = models.CharField(_("problem"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("comparison with the phone company")
        verbose_name_plural = _("comparisons with the phone company")
        ordering = ["-started_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ComparisonState.values), name="comparison_state_is_known"
            ),
            models.UniqueConstraint(
                fields=["name"], condition=Q(state__in=UNFINISHED), name="one_unfinished_comparison"
            ),
        ]
        indexes = [models.Index(fields=["-started_at"], name="comparison_newest")]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class DifferenceKind(models.TextChoices):
    MISSING_HERE = "missing_here", _("Missing here")
    SECOND_ID = "second_id", _("Our call under a second id")
    MISSING_THERE = "missing_there", _("Missing at the phone company")
    DIFFERENT = "different", _("Different")


class WhatWasDone(models.TextChoices):
    FETCHED = "fetched", _("Fetched, being read")
    HEALED = "healed", _("Corrected here")
    STAYS = "stays", _("Still different")
    NOTHING = "nothing", _("Nothing: only reported")


class ComparedCall(models.Model):
    """One call on which the two sides did not agree, and what was done about it."""

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="differences")
    kind = models.CharField(_("what"), max_length=14, choices=DifferenceKind)
    provider_call_id = models.CharField(_("id at the phone company"), max_length=120)
    call = models.ForeignKey(
        "calls.Call",
        verbose_name=_("call"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    differs = models.JSONField(_("differences"), default=dict, blank=True)
    """{column: [as we had it, as they say]}, each as text."""
    done = models.CharField(_("what was done"), max_length=8, choices=WhatWasDone)

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=DifferenceKind.values), name="difference_kind_is_known"
            ),
            models.CheckConstraint(condition=Q(done__in=WhatWasDone.values), name="difference_done_is_known"),
            # A page that is read twice after a kill finds the same differences.
            models.UniqueConstraint(
                fields=["comparison", "provider_call_id"], name="one_difference_per_call_and_comparison"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.provider_call_id}"
