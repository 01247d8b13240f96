"""Telling the application something, through the one place that may call an address that a person wrote."""

from collections.abc import Mapping

import msgspec

from settings import get_settings
from workers.deliveries import http_post
from workers.deliveries.http_post import OutgoingError
from workers.workflows.engine.execute_step import Answer, PostError


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """
    Post JSON; the answer's body is JSON if it is that, else text.

    Raises:
        PostError: there was no answer.
    """
    try:
        posted = http_post.post(url, body, headers, allow_private=get_settings().allow_private_targets)
    except OutgoingError as error:
        raise PostError(str(error), untouched=error.untouched, forever=error.forever) from None
    return Answer(posted.status, _read(posted.body))


def _read(body: bytes) -> object:
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="replace")
