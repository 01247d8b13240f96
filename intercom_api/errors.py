"""
What can go wrong between Intercom and us.

One question decides the class: does waiting help?

IntercomError
├─ SignatureError                        no secret fits the body      -> 401
├─ MalformedNotificationError(path)      signed, but unreadable       -> parked (the answer was 200)
└─ TransientError(retry_after_seconds)   no reply, 5xx, 429           -> try again later
"""


class IntercomError(Exception):
    """Base of every error about Intercom's side."""


class SignatureError(IntercomError):
    """The signature header is missing, is not one, or fits none of the client secrets."""


class MalformedNotificationError(IntercomError):
    """
    A signed body that is not a notification we can read.

    `path` names the field ("data.item.id"), never its value, which may be personal data.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class TransientError(IntercomError):
    """Intercom did not answer, or not now; asking again after `retry_after_seconds` may help."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
