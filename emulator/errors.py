"""
What a pretend workspace refuses, as Intercom would.

EmulatorError
├─ UnknownObjectError      there is no such contact, company or tag (any more)
├─ RefusedError            the object exists, but this cannot be done to it
└─ NotLoopbackError        the target is not this machine
"""


class EmulatorError(Exception):
    """Base of every error of the emulator."""


class UnknownObjectError(EmulatorError):
    """There is no such object, or no longer."""


class RefusedError(EmulatorError):
    """The object exists, but what was asked cannot be done to it."""


class NotLoopbackError(EmulatorError):
    """Pretend notifications must never leave this machine."""
