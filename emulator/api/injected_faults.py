"""Injected faults of the API: latency, random 5xx responses, empty and damaged bodies."""

import random
import threading
import time

from emulator.api.api_errors import ApiError
from emulator.api.api_request import OK, ApiResponse
from emulator.api.behaviour_switches import BehaviourSwitches
from intercom_api.wire.times import MS_PER_SECOND

_ERRORS = (
    (500, "server_error", "Internal server error"),
    (502, "bad_gateway", "Bad gateway"),
    (503, "service_unavailable", "Sorry, the API service is temporarily unavailable"),
    (504, "gateway_timeout", "Gateway timeout"),
)
_BAD_GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


class ApiFaults:
    """Decides at random for each call; reads the switches for each call. Thread-safe."""

    def __init__(self, switches: BehaviourSwitches, rng: random.Random) -> None:
        self._switches = switches
        self._rng = rng
        # Whether the call that the current thread handles is to fail after its work was done.
        self._call = threading.local()

    def wait(self) -> None:
        """Sleep for half of the latency; a call waits once before its work and once after it."""
        if self._switches.latency_ms:
            time.sleep(self._switches.latency_ms / 2 / MS_PER_SECOND)

    def fail_before(self) -> None:
        """
        Decide whether the call fails, and in half of these cases fail before anything is done.

        Raises:
            ApiError: a random 5xx.
        """
        failing = self._rng.random() < self._switches.error_rate
        self._call.fails_after = failing and self._rng.random() < 1 / 2
        if failing and not self._call.fails_after:
            raise self._random_error()

    def damage(self, response: ApiResponse) -> ApiResponse:
        """
        Return the response, or a damaged one.

        Raises:
            ApiError: a random 5xx, although the work was done.
        """
        if self._call.fails_after:
            if self._rng.random() < 1 / 2:
                return ApiResponse(502, _BAD_GATEWAY_PAGE, {"Content-Type": "text/html"})
            raise self._random_error()
        if response.status != OK or not response.content:
            return response
        if self._rng.random() < self._switches.empty_rate:
            return ApiResponse(response.status, b"", response.headers)
        if self._rng.random() < self._switches.broken_rate:
            return ApiResponse(response.status, response.content[: len(response.content) // 2], response.headers)
        return response

    def _random_error(self) -> ApiError:
        return ApiError(*self._rng.choice(_ERRORS))
