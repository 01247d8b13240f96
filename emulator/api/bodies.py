"""Reading what was sent: a JSON object, or a form where Intercom takes one."""

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from emulator.api.faults import ApiError, bad_request

if TYPE_CHECKING:
    from emulator.api.intercom import Request

_UNSUPPORTED = 415
_decode = msgspec.json.Decoder().decode


def json_object(request: "Request") -> dict[str, Any]:
    """
    Return the JSON object of the body; without a body an empty one.

    Raises:
        ApiError: it is something else.
    """
    if not request.body:
        return {}
    if "json" not in request.headers.get("content-type", ""):
        raise ApiError(_UNSUPPORTED, "media_type_not_acceptable", "The Content-Type should be application/json")
    try:
        value = _decode(request.body)
    except msgspec.MsgspecError:
        raise bad_request("The body is no JSON") from None
    if not isinstance(value, dict):
        raise bad_request("The body is no JSON object")
    return value


def fields(request: "Request") -> dict[str, Any]:
    """
    Return what a form or a JSON object says.

    Raises:
        ApiError: it is neither.
    """
    if "json" in request.headers.get("content-type", ""):
        return json_object(request)
    try:
        return dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    except ValueError:
        raise bad_request("The body is no form") from None
