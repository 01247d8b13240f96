"""What goes wrong on Intercom's side and on the way: latency, random 5xx, empty and broken bodies."""

import random
import threading
import time

from emulator.api.api_errors import ApiError
from emulator.api.api_request import OK, ApiResponse
from emulator.api.behaviour_switches import BehaviourSwitches

_STATUSES = (
    (500, "server_error", "Internal server error"),
    (502, "bad_gateway", "Bad gateway"),
    (503, "service_unavailable", "Sorry, the API service is temporarily unavailable"),
    (504, "gateway_timeout", "Gateway timeout"),
)
_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


class FaultInjector:
    """Throws the dice for every call; the shares are asked anew each time. Safe for several threads."""

    def __init__(self, quirks: BehaviourSwitches, rng: random.Random) -> None:
        self._quirks = quirks
        self._rng = rng
        # Whether the dice of the call that this thread answers say that it fails after the work was done.
        self._late = threading.local()

    def wait(self) -> None:
        """Take half of the latency."""
        if self._quirks.latency_ms:
            # This pause is the latency that was asked for: one half before the call, one after it.
            time.sleep(self._quirks.latency_ms / 2000)

    def fail_before(self) -> None:
        """
        Fail perhaps, before anything was done.

        Raises:
            ApiError: a random 5xx.
        """
        failing = self._rng.random() < self._quirks.error_rate
        self._late.failing = failing and self._rng.random() < 1 / 2
        if failing and not self._late.failing:
            raise self._error()

    def damage(self, answer: ApiResponse) -> ApiResponse:
        """
        Return the answer, or what is left of it.

        Raises:
            ApiError: a random 5xx, although the work was done.
        """
        if self._late.failing:
            if self._rng.random() < 1 / 2:
                return ApiResponse(502, _PAGE, {"Content-Type": "text/html"})
            raise self._error()
        if answer.status != OK or not answer.content:
            return answer
        if self._rng.random() < self._quirks.empty_rate:
            return ApiResponse(answer.status, b"", answer.headers)
        if self._rng.random() < self._quirks.broken_rate:
            return ApiResponse(answer.status, answer.content[: len(answer.content) // 2], answer.headers)
        return answer

    def _error(self) -> ApiError:
        return ApiError(*self._rng.choice(_STATUSES))
