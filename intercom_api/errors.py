"""
What can go wrong between Intercom and us.

One question decides the class: does waiting help?

IntercomError
├─ SignatureError                        no secret fits the body      -> 401
├─ MalformedNotificationError(path)      signed, but unreadable       -> parked (the answer was 200)
├─ TransientError(retry_after_seconds)   no reply, 5xx, 429           -> try again later
│   └─ ScrollTakenError                  another scroll is open       -> later, or list the companies by page
└─ PermanentError(request_id)            waiting never helps          -> park, tell the operator
    ├─ NotAuthorizedError(code)          the token is gone            -> connection marked disconnected
    ├─ NotFoundError                     no such object               -> it is gone, or was merged (before 2.16)
    ├─ MergedError(into)                 the contact became another   -> follow
    └─ RejectedError(status, code)       Intercom will not            -> the sentence says what to do
        ├─ ScrollNeededError             beyond 10,000 companies      -> scroll
        └─ ConflictError(existing_id)    another has these details    -> use that one

No message repeats a token, an address or anything else that Intercom or a caller put into a request or an answer,
save for Intercom's own error codes and the id that it gave the request.
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
    """
    Intercom did not answer, or not now; asking again after `retry_after_seconds` may help.

    `not_processed`: Intercom certainly did nothing (429, or never reached), so even what creates may be repeated.
    """

    def __init__(
        self, message: str, retry_after_seconds: float, *, request_id: str | None = None, not_processed: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id
        self.not_processed = not_processed


class ScrollInUseError(TransientError):
    """Somebody else holds the one scroll over companies that a workspace has, for longer than we wait."""


class PermanentError(IntercomError):
    """Saying the same again never helps. `request_id` is what Intercom's support asks for; None if it gave none."""

    def __init__(self, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class NotAuthorizedError(PermanentError):
    """The token opens nothing any more (401); the user must connect again. `code` is Intercom's, "unknown" if none."""

    def __init__(self, code: str, request_id: str | None = None) -> None:
        super().__init__(f"Intercom refuses the token ({code}). The user must connect the workspace again.", request_id)
        self.code = code


class NotFoundError(PermanentError):
    """
    Intercom has no such object (404).

    `as_of_ms`: Intercom's time at which that was true, unix milliseconds; None where it was not asked. `code` is
    Intercom's and says what kind of object is missing.
    """

    def __init__(
        self, message: str, request_id: str | None = None, *, as_of_ms: int | None = None, code: str = "unknown"
    ) -> None:
        super().__init__(message, request_id)
        self.as_of_ms = as_of_ms
        self.code = code


class MergedError(PermanentError):
    """The contact became part of the contact `into` (410), as of `as_of_ms` (Intercom's time, unix milliseconds)."""

    def __init__(self, into: str, request_id: str | None = None, *, as_of_ms: int | None = None) -> None:
        super().__init__("The contact was merged into another one. Ask for that one.", request_id)
        self.into = into
        self.as_of_ms = as_of_ms


class RejectedError(PermanentError):
    """Intercom understood and refuses (4xx). `status` is HTTP's, `code` Intercom's, "unknown" if it gave none."""

    def __init__(self, message: str, status: int, code: str, request_id: str | None = None) -> None:
        super().__init__(message, request_id)
        self.status = status
        self.code = code


class ScrollRequiredError(RejectedError):
    """The workspace has more companies than can be listed by page; only a scroll reaches the others."""


class ConflictError(RejectedError):
    """Another object has these details (409). `existing_id` is its id, None if untold; it may be `archived`."""

    def __init__(self, code: str, request_id: str | None, existing_id: str | None, *, archived: bool) -> None:
        super().__init__("Another object has these details already.", 409, code, request_id)
        self.existing_id = existing_id
        self.archived = archived
