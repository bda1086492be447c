"""What need not be kept: one table of what goes when."""

from __future__ import annotations

from datetime import datetime, timedelta

from calls import live
from calls.models import CallBatch, Comparison, Heartbeat, LeadExport, SignatureRefusal, WebhookEvent
from calls.models.access import IdempotentRequest
from calls.models.batch import BatchState
from calls.models.webhook_event import EventState

FOREIGN_KEPT = timedelta(days=7)
REFUSALS_KEPT = timedelta(days=7)
SILENT_PROCESS_KEPT = timedelta(days=1)
IDEMPOTENCY_KEPT = timedelta(days=30)
COMPARISONS_KEPT = timedelta(days=90)
EXPORTS_KEPT = timedelta(days=7)
SHEETS_KEPT = timedelta(days=7)
"""Of batches that were opened and never started."""


def tidy(*, now: datetime) -> int:
    """Delete other systems' events, old live transcripts, old counts and answers, processes long gone,
    sheets that were left.
    """
    gone = live.forget_old(now=now)
    foreign = WebhookEvent.objects.filter(state=EventState.FOREIGN, received_at__lt=now - FOREIGN_KEPT)
    gone += foreign.delete()[0]
    gone += SignatureRefusal.objects.filter(minute__lt=now - REFUSALS_KEPT).delete()[0]
    gone += Heartbeat.objects.filter(beat_at__lt=now - SILENT_PROCESS_KEPT).delete()[0]
    gone += IdempotentRequest.objects.filter(created_at__lt=now - IDEMPOTENCY_KEPT).delete()[0]
    gone += Comparison.objects.filter(started_at__lt=now - COMPARISONS_KEPT).delete()[0]
    gone += LeadExport.objects.filter(created_at__lt=now - EXPORTS_KEPT).delete()[0]
    sheets = CallBatch.objects.filter(state=BatchState.DRAFT, created_at__lt=now - SHEETS_KEPT)
    gone += sheets.delete()[0]
    return gone
