"""
Comparing the tables with Intercom.

`verify` is the whole of it; `compare` says what equal means, and the rest brings it both sides.
"""

from workers.verify.context import VerifyContext
from workers.verify.outcome import VerifyOutcome
from workers.verify.run import Mode, verify

__all__ = ["Mode", "VerifyContext", "VerifyOutcome", "verify"]
