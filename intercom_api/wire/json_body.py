"""Decodes JSON that Intercom sent, in a notification or a response."""

from typing import Any

import msgspec


def decode(body: bytes) -> Any:
    """
    Decode JSON; NUL characters, which PostgreSQL cannot store, become U+FFFD.

    Raises:
        ValueError: it is not JSON. The message names the kind of error and repeats nothing of the body.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The decoder's own message may quote the body, so it is left out.
        raise ValueError(f"is not JSON ({type(error).__name__})") from None
    # JSON can only write a NUL as this escape. If the text contains it for another reason, nothing is replaced.
    return _without_nul(value) if b"\\u0000" in body else value


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, list):
        return [_without_nul(member) for member in value]
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(member) for key, member in value.items()}
    return value
