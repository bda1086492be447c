"""Log lines: key=value to stderr. Nothing here may print a key, a number's transcript or a signature (I7)."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET_WORDS = ("key", "secret", "token", "password", "authorization", "signature")

stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
_line = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True)


def redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event:
        if any(word in name.lower() for word in SECRET_WORDS):
            event[name] = "[hidden]"
    return event


# For lines of libraries, which know nothing of structlog.
FOREIGN = [structlog.stdlib.add_log_level, stamp, structlog.processors.format_exc_info]

structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        stamp,
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)


def render(logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
    record = event.pop("_record", None)
    event.pop("_from_structlog", None)
    if record is not None:
        event.setdefault("level", record.levelname.lower())
        event.setdefault("logger", record.name)
    return _line(logger, name, redact(logger, name, event))
