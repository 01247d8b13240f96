"""What answers under /api look like, as JSON schemas; /openapi.json has them under `components`."""

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_MAYBE_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
_NUMBER: Schema = {"type": "integer"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}


def ref(name: str) -> Schema:
    """Point to one of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def of(required: dict[str, Schema], **more: Any) -> Schema:
    """Describe an object that always has these members."""
    return {"type": "object", "properties": required, "required": list(required), **more}


def listed(name: str, items: Schema, **others: Schema) -> Schema:
    """Describe an object with a list."""
    return of({name: {"type": "array", "items": items}, **others})


_ENDPOINT: dict[str, Schema] = {
    "id": _TEXT,
    "user_id": _MAYBE_TEXT,
    "url": _TEXT,
    "types": _TEXTS,
    "ops": _TEXTS,
    "sources": _TEXTS,
    "status": _TEXT,
    "reason": _MAYBE_TEXT,
    "failures": _NUMBER,
    "failing_since": _MAYBE_MOMENT,
    "rest_until": _MAYBE_MOMENT,
    "old_until": _MAYBE_MOMENT,
    "created_at": _MAYBE_MOMENT,
}

SCHEMAS: dict[str, Schema] = {
    "Problem": of({"type": _TEXT, "title": _TEXT, "status": _NUMBER, "detail": _TEXT}),
    "Connection": of(
        {
            "workspace_id": _TEXT,
            "name": _MAYBE_TEXT,
            "region": _MAYBE_TEXT,
            "status": {"type": "string", "enum": ["connected", "disconnected"]},
        }
    ),
    "Change": of(
        {
            "seq": _NUMBER,
            "workspace_id": _TEXT,
            "object_type": _TEXT,
            "object_id": _TEXT,
            "op": _TEXT,
            "related_type": _MAYBE_TEXT,
            "related_id": _MAYBE_TEXT,
            "changed_fields": _TEXTS,
            "source": _TEXT,
            "notification_id": _MAYBE_TEXT,
            "at": {"type": "string", "format": "date-time"},
        }
    ),
    "NewEndpoint": {
        "type": "object",
        "required": ["url"],
        "additionalProperties": False,
        "properties": {"url": _TEXT, "types": _TEXTS, "ops": _TEXTS, "sources": _TEXTS},
    },
    "Endpoint": of(_ENDPOINT),
    "EndpointWithSecret": of({**_ENDPOINT, "secret": _TEXT}),
    "Delivery": of(
        {
            "id": _NUMBER,
            "change_seq": _NUMBER,
            "workspace_id": _TEXT,
            "object_type": _TEXT,
            "object_id": _TEXT,
            "state": _TEXT,
            "attempts": _NUMBER,
            "status": {"type": ["integer", "null"]},
            "error": _MAYBE_TEXT,
            "due_at": _MAYBE_MOMENT,
            "created_at": _MAYBE_MOMENT,
            "ended_at": _MAYBE_MOMENT,
        }
    ),
}
