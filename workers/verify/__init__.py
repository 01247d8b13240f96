"""
Comparing the tables with Intercom.

`verify` is the whole of it; `compare` says what equal means, and the rest brings it both sides.
"""

from workers.verify.context import Tools
from workers.verify.outcome import Outcome
from workers.verify.run import Mode, verify

__all__ = ["Mode", "Outcome", "Tools", "verify"]
