"""JSON schemas of the responses under /api; /openapi.json contains them under `components`."""

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NULLABLE_TEXT: Schema = {"type": ["string", "null"]}
_NULLABLE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
_INTEGER: Schema = {"type": "integer"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}


def ref(name: str) -> Schema:
    """Return a reference to one of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_schema(required: dict[str, Schema], **more: Any) -> Schema:
    """Return the schema of an object whose members are all required."""
    return {"type": "object", "properties": required, "required": list(required), **more}


def list_schema(name: str, items: Schema, **others: Schema) -> Schema:
    """Return the schema of an object with a list."""
    return object_schema({name: {"type": "array", "items": items}, **others})


_ENDPOINT: dict[str, Schema] = {
    "id": _TEXT,
    "user_id": _NULLABLE_TEXT,
    "url": _TEXT,
    "types": _TEXTS,
    "ops": _TEXTS,
    "sources": _TEXTS,
    "status": _TEXT,
    "reason": _NULLABLE_TEXT,
    "failures": _INTEGER,
    "failing_since": _NULLABLE_TIME,
    "rest_until": _NULLABLE_TIME,
    "old_until": _NULLABLE_TIME,
    "created_at": _NULLABLE_TIME,
}

SCHEMAS: dict[str, Schema] = {
    "Problem": object_schema({"type": _TEXT, "title": _TEXT, "status": _INTEGER, "detail": _TEXT}),
    "Connection": object_schema(
        {
            "workspace_id": _TEXT,
            "name": _NULLABLE_TEXT,
            "region": _NULLABLE_TEXT,
            "status": {"type": "string", "enum": ["connected", "disconnected"]},
        }
    ),
    "Change": object_schema(
        {
            "seq": _INTEGER,
            "workspace_id": _TEXT,
            "object_type": _TEXT,
            "object_id": _TEXT,
            "op": _TEXT,
            "related_type": _NULLABLE_TEXT,
            "related_id": _NULLABLE_TEXT,
            "changed_fields": _TEXTS,
            "source": _TEXT,
            "notification_id": _NULLABLE_TEXT,
            "at": {"type": "string", "format": "date-time"},
        }
    ),
    "NewEndpoint": {
        "type": "object",
        "required": ["url"],
        "additionalProperties": False,
        "properties": {"url": _TEXT, "types": _TEXTS, "ops": _TEXTS, "sources": _TEXTS},
    },
    "Endpoint": object_schema(_ENDPOINT),
    "EndpointWithSecret": object_schema({**_ENDPOINT, "secret": _TEXT}),
    "Delivery": object_schema(
        {
            "id": _INTEGER,
            "change_seq": _INTEGER,
            "workspace_id": _TEXT,
            "object_type": _TEXT,
            "object_id": _TEXT,
            "state": _TEXT,
            "attempts": _INTEGER,
            "status": {"type": ["integer", "null"]},
            "error": _NULLABLE_TEXT,
            "due_at": _NULLABLE_TIME,
            "created_at": _NULLABLE_TIME,
            "ended_at": _NULLABLE_TIME,
        }
    ),
}
