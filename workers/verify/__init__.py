"""
Compare the tables with Intercom.

`verify` runs a verification. `compare` defines when an object is equal on both sides, `mirror_side` and `intercom_side`
read the two sides, `full` and `quick` choose what to compare, `recheck` decides which differences are certain, and
`repair` has them refetched.
"""

from workers.verify.context import VerifyContext
from workers.verify.outcome import VerifyOutcome
from workers.verify.run import Mode, verify

__all__ = ["Mode", "VerifyContext", "VerifyOutcome", "verify"]
