"""The stored form of a step's input and output: without the values of settings, and of limited size."""

import json
from collections.abc import Mapping
from typing import Any

# Headers whose values are secret, whatever they are set from.
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "api-key"})

# Characters of JSON of an output that is stored: Intercom's largest objects have some tens of thousands.
_MAX_OUTPUT_LENGTH = 200_000

# Characters of the shortest value of a setting that is replaced; a shorter one occurs in ordinary text by chance.
_MIN_SECRET_LENGTH = 4


def redact(value: Any, settings: Mapping[str, Any]) -> Any:
    """Replace the values of settings by their names, at any depth, in keys too."""
    secrets = [(secret, name) for name, secret in settings.items() if isinstance(secret, str)]
    # The longest first: one secret may contain another.
    secrets.sort(key=lambda each: -len(each[0]))
    return _redact(value, [each for each in secrets if len(each[0]) >= _MIN_SECRET_LENGTH])


def _redact(value: Any, secrets: list[tuple[str, str]]) -> Any:
    if isinstance(value, str):
        for secret, name in secrets:
            value = value.replace(secret, f"[settings.{name}]")
        return value
    if isinstance(value, Mapping):
        return {
            _redact(str(key), secrets): "[hidden]" if str(key).lower() in _SECRET_HEADERS else _redact(each, secrets)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redact(each, secrets) for each in value]
    return value


def storable(output: Any) -> Any:
    """Return the stored form of an output: limited in size, and without NUL, which PostgreSQL refuses in text."""
    text = json.dumps(output)
    if len(text) > _MAX_OUTPUT_LENGTH:
        return {"cut": f"The output had {len(text)} characters of JSON; at most {_MAX_OUTPUT_LENGTH} are stored."}
    return json.loads(text.replace("\\u0000", "")) if "\\u0000" in text else output
