"""
What can go wrong between Intercom and us. One question decides the class: does waiting help?

IntercomError
├─ SignatureError                        no secret fits the body      -> 401
└─ MalformedNotificationError(path)      signed, but unreadable       -> parked (the answer was 200)
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
