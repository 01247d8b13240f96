"""What is kept of a step's input and output: no setting's value, and nothing of endless size."""

import json
from collections.abc import Mapping
from typing import Any

# Headers whose values are secrets, whoever sets them.
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "api-key"})

# Bytes of JSON that are kept of an output: Intercom's largest objects have some tens of thousands.
_LARGEST = 200_000

# Characters from which a setting's value is told from ordinary text; shorter ones are no secrets.
_SHORTEST = 4


def redact(value: Any, settings: Mapping[str, Any]) -> Any:
    """Replace the values of settings by their names, at any depth, in keys too."""
    words = sorted(((each, name) for name, each in settings.items() if isinstance(each, str)), key=lambda e: -len(e[0]))
    return _redact(value, [(word, name) for word, name in words if len(word) >= _SHORTEST])


def _redact(value: Any, words: list[tuple[str, str]]) -> Any:
    if isinstance(value, str):
        for word, name in words:
            value = value.replace(word, f"[settings.{name}]")
        return value
    if isinstance(value, Mapping):
        return {
            _redact(str(key), words): "[hidden]" if str(key).lower() in _SECRET_HEADERS else _redact(each, words)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redact(each, words) for each in value]
    return value


def kept(output: Any) -> Any:
    """Return an output as far as it is kept; PostgreSQL refuses zero bytes in text."""
    text = json.dumps(output)
    if len(text) > _LARGEST:
        return {"cut": f"The output had {len(text)} characters of JSON, and {_LARGEST} are kept at most."}
    return json.loads(text.replace("\\u0000", "")) if "\\u0000" in text else output
