"""
The rate limit: windows of ten seconds, each with a sixth of the limit per minute.

Source:
    Intercom, "Rate limiting".
"""

from dataclasses import dataclass

from emulator.api.api_errors import TOO_MANY, ApiError

_WINDOW_SECONDS = 10
_WINDOWS_PER_MINUTE = 6


@dataclass
class RateLimitWindow:
    """Counts the calls of one app in one workspace. Protected by the simulation's lock."""

    end: int = 0
    used: int = 0

    def count_call(self, per_minute: int, now: int) -> dict[str, str]:
        """
        Count one call and return the headers that describe the window.

        Args:
            per_minute: the limit; 0: there is no limit, and there are no headers.
            now: the time in unix seconds.

        Raises:
            ApiError: the window is used up (429).
        """
        if not per_minute:
            return {}
        if not 0 < self.end - now <= _WINDOW_SECONDS:
            self.end, self.used = now - now % _WINDOW_SECONDS + _WINDOW_SECONDS, 0
        limit = max(1, per_minute // _WINDOWS_PER_MINUTE)
        self.used += 1
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - self.used)),
            "X-RateLimit-Reset": str(self.end),
        }
        if self.used > limit:
            raise ApiError(TOO_MANY, "rate_limit_exceeded", f"Exceeded rate limit of {limit} in 10_seconds", headers)
        return headers
