"""A request to the emulated API and the response to it, independent of the server that carries them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from emulator.api.api_errors import ApiError, bad_request

OK = 200
_UNSUPPORTED_MEDIA_TYPE = 415

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """
    An HTTP request.

    Attributes:
        method: the HTTP method, in capitals.
        region: the region prefix of the address, such as "us".
        path: the path after the region prefix, as in Intercom's own addresses.
        query: the query string as received, without the question mark.
        headers: the headers by lower-case name.
        body: the body as received.
        host: the host and port of this server, such as "127.0.0.1:8001".
    """

    method: str
    region: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    host: str = "127.0.0.1"

    def json_object(self) -> dict[str, Any]:
        """
        Return the JSON object in the body; an empty object if there is no body.

        Raises:
            ApiError: the body is something else.
        """
        if not self.body:
            return {}
        if not self._has_json():
            text = "The Content-Type should be application/json"
            raise ApiError(_UNSUPPORTED_MEDIA_TYPE, "media_type_not_acceptable", text)
        try:
            value = _decode(self.body)
        except msgspec.MsgspecError:
            raise bad_request("The body is not valid JSON") from None
        if not isinstance(value, dict):
            raise bad_request("The body is not a JSON object")
        return value

    def fields(self) -> dict[str, Any]:
        """
        Return the fields of the body, which may be a form or a JSON object.

        Raises:
            ApiError: the body is neither.
        """
        if self._has_json():
            return self.json_object()
        try:
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        except ValueError:
            raise bad_request("The body is not a valid form") from None

    def _has_json(self) -> bool:
        return "json" in self.headers.get("content-type", "")


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """
    An HTTP response.

    Attributes:
        status: the HTTP status.
        content: a value to encode as JSON, or the bytes of the body; None means an empty body.
        headers: headers in addition to those that every response has.
    """

    status: int = OK
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
