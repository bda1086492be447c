"""What is said of a number of ours when a provider is to have it over a trunk of ours."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberOrder:
    """Over which trunk its calls go out, who answers those that come in. Numbers are E.164."""

    number: str
    label: str
    trunk_domain: str
    username: str
    password: str = field(repr=False)
    """For this one request: kept nowhere."""
    inbound_agent_id: str
    outbound_agent_id: str
    inbound_webhook_url: str
    fallback_number: str
    """Rung when the provider has no room for a call that comes in."""
