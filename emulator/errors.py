"""
The errors of the emulator.

EmulatorError
├─ UnknownObjectError      the contact, company or tag does not exist, or no longer
├─ RefusedError            the request is impossible in the present state, or a value is invalid
└─ NotLoopbackError        the address belongs to another machine
"""


class EmulatorError(Exception):
    """Base class of the emulator's errors."""


class UnknownObjectError(EmulatorError):
    """The object does not exist, or no longer."""


class RefusedError(EmulatorError):
    """The request is impossible in the present state, or a value is invalid."""


class NotLoopbackError(EmulatorError):
    """The address belongs to another machine. Emulated notifications must never leave this one."""
