"""What the schema says of every operation: its problems, strict bodies, and the two shared kinds of text."""

from __future__ import annotations

from typing import Any

from calls.api import fields, problems

REASON = {
    "type": "object",
    "required": ["code", "detail", "until"],
    "properties": {
        "code": {"type": "string", "examples": ["do_not_call"]},
        "detail": {"type": "string"},
        "until": {"type": ["string", "null"], "format": "date-time"},
    },
}
FIELD_ERROR = {
    "type": "object",
    "required": ["code", "detail"],
    "properties": {"code": {"type": "string"}, "detail": {"type": "string"}},
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "For programs: stays the same when the sentence changes."},
        "reasons": {"type": "array", "items": REASON, "description": "Every rule that said no."},
        "errors": {
            "type": "object",
            "description": "What is wrong with the request, by field.",
            "additionalProperties": {"type": "array", "items": FIELD_ERROR},
        },
        "call": {"type": "string", "format": "uuid", "description": "The call in the way."},
        "place": {"type": "integer", "minimum": 1, "description": "In the queue; 1: the next."},
        "request_id": {"type": "string", "description": "Of a 5xx: tell it whoever reads the log."},
    },
    "examples": [
        {
            "type": "about:blank",
            "title": "Unprocessable Content",
            "status": 422,
            "detail": "On the do-not-call list since 2026-11-20: asked us",
            "code": "not_allowed",
            "reasons": [
                {
                    "code": "do_not_call",
                    "detail": "On the do-not-call list since 2026-11-20: asked us",
                    "until": None,
                }
            ],
        }
    ],
}
ALWAYS = {
    400: "The request is wrong",
    401: "No key, or not a valid one",
    403: "The key lacks the scope",
    429: "Too many",
}
FOR_ROWS = {404: "There is no such row, or this key may not see it"}
FOR_WRITES = {
    409: "Not as things are",
    411: "Sent in chunks, without a length",
    413: "Larger than 1 MiB",
    415: "Not JSON",
    422: "Not allowed, with every reason",
    503: "Calling is stopped, or the database is busy: ask again",
}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's hook after generating."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    schemas[fields.PHONE_COMPONENT] = {
        "type": "string",
        "description": "E.164. Other spellings are read too; without a country: the company's.",
        "pattern": fields.phone_pattern(),
        "examples": ["+14155550101"],
    }
    schemas[fields.ANYTHING_COMPONENT] = fields.ANYTHING
    schemas[fields.ZONE_COMPONENT] = {
        "type": "string",
        "description": "A name of the time zone database.",
        "enum": list(fields.zones_by_folded_name().values()),
    }
    for methods in result.get("paths", {}).values():
        for method, operation in methods.items():
            _add_problems(method, operation)
            _make_strict(operation, schemas)
    return result


def _add_problems(method: str, operation: dict[str, Any]) -> None:
    told = ALWAYS | FOR_ROWS | (FOR_WRITES if method in ("post", "patch") else {})
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in told.items():
        operation["responses"].setdefault(str(status), {"description": description, "content": content})
    operation["responses"].setdefault("default", {"description": "Any other problem", "content": content})


def _make_strict(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    for body in operation.get("requestBody", {}).get("content", {}).values():
        name = body["schema"].get("$ref", "").rsplit("/", 1)[-1]
        if name:
            schemas[name]["additionalProperties"] = False
            for one in schemas[name]["properties"].values():
                if one.get("type") in ("string", ["string", "null"]) and "format" not in one:
                    one.setdefault("pattern", fields.ANY_TEXT)
