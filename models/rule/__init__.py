"""The apply rule: what one observation changes about one object. Pure: no SQL, no clock, no I/O."""

from models.rule.decide import Decision, LinkChange, decide

__all__ = ["Decision", "LinkChange", "decide"]
