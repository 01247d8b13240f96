"""
Errors of Intercom's side.

One question decides the class: does waiting help?

IntercomError
├─ SignatureError                        no secret matches the body   -> 401
├─ MalformedNotificationError(path)      signed, but unreadable       -> parked (the response was 200)
├─ TransientError(retry_after_seconds)   no response, 5xx, 429        -> try again later
│   └─ ScrollInUseError                  another scroll is open       -> later, or list the companies by page
└─ PermanentError(request_id)            waiting never helps          -> park, inform the operator
    ├─ NotAuthorizedError(code)          the token is not valid       -> connection marked disconnected
    ├─ NotFoundError                     no such object               -> deleted, or merged (before 2.16)
    ├─ MergedError(into)                 merged into another contact  -> follow
    └─ RejectedError(status, code)       Intercom refuses the request -> the message gives the remedy
        ├─ ScrollRequiredError           beyond 10,000 companies      -> scroll
        └─ ConflictError(existing_id)    another has these details    -> use that one

No message repeats a token, an address or anything else that Intercom or a caller put into a request or a response,
except Intercom's own error codes and the request id that it assigned.
"""


class IntercomError(Exception):
    """Base of every error of Intercom's side."""


class SignatureError(IntercomError):
    """The signature header is missing or malformed, or matches none of the client secrets."""


class MalformedNotificationError(IntercomError):
    """
    A signed body is not a notification that can be read.

    Attributes:
        path: the field ("data.item.id"), never its value, which may be personal data.
        problem: what is wrong with the field; completes a sentence that begins with the path.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class TransientError(IntercomError):
    """
    Intercom did not respond, or cannot serve the request now.

    Attributes:
        retry_after_seconds: a retry after this time may succeed.
        request_id: Intercom's id of the request; None if it gave none.
        not_processed: Intercom certainly did nothing (429, or never reached), so even a request that creates an object
            may be repeated.
    """

    def __init__(
        self, message: str, retry_after_seconds: float, *, request_id: str | None = None, not_processed: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id
        self.not_processed = not_processed


class ScrollInUseError(TransientError):
    """Another caller has held the workspace's only scroll over companies for longer than this client waits."""


class PermanentError(IntercomError):
    """
    Repeating the request never helps.

    Attributes:
        request_id: the id that Intercom's support needs; None if Intercom gave none.
    """

    def __init__(self, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class NotAuthorizedError(PermanentError):
    """
    Intercom does not accept the token (401); the user must connect again.

    Attributes:
        code: Intercom's error code; "unknown" if it gave none.
    """

    def __init__(self, code: str, request_id: str | None = None) -> None:
        super().__init__(f"Intercom refuses the token ({code}). The user must connect the workspace again.", request_id)
        self.code = code


class NotFoundError(PermanentError):
    """
    Intercom has no such object (404).

    Attributes:
        as_of_ms: Intercom's time at which that was true, in unix milliseconds; None if no request was made.
        code: Intercom's error code, which names the kind of object that is missing; "unknown" if it gave none.
    """

    def __init__(
        self, message: str, request_id: str | None = None, *, as_of_ms: int | None = None, code: str = "unknown"
    ) -> None:
        super().__init__(message, request_id)
        self.as_of_ms = as_of_ms
        self.code = code


class MergedError(PermanentError):
    """
    The contact was merged into another one (410).

    Attributes:
        into: the id of the contact that remains.
        as_of_ms: Intercom's time at which that was true, in unix milliseconds.
    """

    def __init__(self, into: str, request_id: str | None = None, *, as_of_ms: int | None = None) -> None:
        super().__init__("The contact was merged into another one. Request that one.", request_id)
        self.into = into
        self.as_of_ms = as_of_ms


class RejectedError(PermanentError):
    """
    Intercom understood the request and refuses it (4xx).

    Attributes:
        status: the HTTP status.
        code: Intercom's error code; "unknown" if it gave none.
    """

    def __init__(self, message: str, status: int, code: str, request_id: str | None = None) -> None:
        super().__init__(message, request_id)
        self.status = status
        self.code = code


class ScrollRequiredError(RejectedError):
    """The workspace has more companies than pages reach; only a scroll lists the others."""


class ConflictError(RejectedError):
    """
    Another object already has these details (409).

    Attributes:
        existing_id: the id of that object; None if Intercom does not give it.
        archived: whether that object is archived.
    """

    def __init__(self, code: str, request_id: str | None, existing_id: str | None, *, archived: bool) -> None:
        super().__init__("Another object already has these details.", 409, code, request_id)
        self.existing_id = existing_id
        self.archived = archived
