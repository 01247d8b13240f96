"""The client of one workspace: a method for each endpoint that the mirror reads."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from intercom_api.errors import RejectedError, ScrollRequiredError, TransientError
from intercom_api.http import pages
from intercom_api.http.company_scroll import PATH as SCROLL_PATH
from intercom_api.http.company_scroll import scroll
from intercom_api.http.pages import MAX_PAGED_COMPANIES, Page
from intercom_api.http.replies import RETRY_PAUSE_SECONDS, SCROLL_REQUIRED, Reply
from intercom_api.http.retrying_client import RetryingClient
from intercom_api.wire.envelope import parse_id

# The largest pages that Intercom allows: of contacts, of companies, and of a contact's companies.
CONTACTS_PER_PAGE = 150
COMPANIES_PER_PAGE = 60
MEMBERS_PER_PAGE = 50


class Me(msgspec.Struct, frozen=True):
    """
    The owner of a token.

    Attributes:
        admin_id: the admin who authorized the app.
        workspace_id: the admin's workspace.
        region: US, EU or AU.
        timezone: the workspace's, such as Europe/Dublin; None if Intercom does not give it.
        name: the workspace's; None likewise.
    """

    admin_id: str
    workspace_id: str
    region: str
    timezone: str | None
    name: str | None


class FetchedObject(msgspec.Struct, frozen=True):
    """An object in its REST form, and the unix millisecond at which it was still in that state."""

    object: dict[str, Any]
    as_of_ms: int


class IntercomClient(RetryingClient):
    """
    Reads one workspace with one token. Every method may raise what `RetryingClient.request` raises.

    Pages come in Intercom's order; while objects change, some may be repeated or missing.
    """

    def me(self) -> Me:
        """
        Return the owner of the token.

        Raises:
            RejectedError: Intercom does not give it; the app has no permission to read admins.
        """
        reply = self.request("GET", "/me")
        app = reply.json.get("app")
        if not isinstance(app, dict) or not app.get("id_code"):
            raise RejectedError(
                "Intercom does not identify the owner of the token. Grant the app the permission to read one admin.",
                reply.status,
                "unknown",
                reply.request_id,
            )
        region = str(app.get("region") or "US").upper()
        return Me(
            str(reply.json.get("id")),
            parse_id(app["id_code"], "app.id_code"),
            region,
            app.get("timezone"),
            app.get("name"),
        )

    def contact(self, contact_id: str) -> FetchedObject:
        """
        Return a contact.

        Its embedded lists are cut at ten members, and so is `merge_history`, which users have since version 2.16.

        Raises:
            NotFoundError: it does not exist; with versions before 2.16 it may have been merged.
            MergedError: it was merged.
        """
        params = {"include_merge_history": "true"} if self._has_merge_history else None
        return _fetched(self.request("GET", f"/contacts/{_quoted(contact_id)}", params=params))

    def company(self, company_id: str) -> FetchedObject:
        """
        Return a company by Intercom's id.

        Raises:
            NotFoundError: it does not exist.
        """
        return _fetched(self.request("GET", f"/companies/{_quoted(company_id)}"))

    def tag(self, tag_id: str) -> FetchedObject:
        """Return a tag; raises NotFoundError if it does not exist."""
        return _fetched(self.request("GET", f"/tags/{_quoted(tag_id)}"))

    def segment(self, segment_id: str) -> FetchedObject:
        """Return a segment; raises NotFoundError if it does not exist."""
        return _fetched(self.request("GET", f"/segments/{_quoted(segment_id)}"))

    def contacts_page(self, cursor: str | None, per_page: int = CONTACTS_PER_PAGE) -> Page:
        """Return a page of all contacts that are neither archived nor merged."""
        params = _with_cursor({"per_page": per_page}, cursor)
        return pages.page_by_cursor(self.request("GET", "/contacts", params=params), cursor, "data")

    def search_contacts(
        self,
        query: dict[str, Any],
        cursor: str | None,
        per_page: int = CONTACTS_PER_PAGE,
        sort: dict[str, str] | None = None,
    ) -> Page:
        """
        Return a page of the contacts that match a query.

        Up to version 2.16, times in a query are compared by days of the workspace's timezone.

        Args:
            query: `{"field": …, "operator": …, "value": …}`, or several of them in AND and OR.
            cursor: `next` of the previous page; None for the first one.
            per_page: at most 150.
            sort: `{"field": …, "order": "ascending" or "descending"}`.
        """
        body: dict[str, Any] = {"query": query, "pagination": _with_cursor({"per_page": per_page}, cursor)}
        if sort:
            body["sort"] = sort
        return pages.page_by_cursor(self.request("POST", "/contacts/search", json=body), cursor, "data")

    def companies_page(self, page: int, per_page: int = COMPANIES_PER_PAGE) -> Page:
        """
        Return a page of the companies that have contacts; the first page is 1.

        Raises:
            ScrollRequiredError: it is beyond the 10,000 companies that pages reach.
        """
        if (page - 1) * per_page >= MAX_PAGED_COMPANIES:
            raise ScrollRequiredError(SCROLL_REQUIRED, HTTPStatus.BAD_REQUEST, "bad_request")
        params: dict[str, str | int] = {"page": page, "per_page": per_page, "order": "desc"}
        return pages.page_by_number(self.request("POST", "/companies/list", params=params), page, per_page)

    def scroll_companies(self) -> Iterator[Page]:
        """
        Go through all companies, however many; see `intercom_api.http.company_scroll`.

        Raises:
            ScrollInUseError: another caller scrolls for longer than this one waits.
        """
        return scroll(self._scroll_page, self._pause)

    def contact_companies(self, contact_id: str) -> Iterator[Page]:
        """Go through the companies of a contact."""
        return self._members(f"/contacts/{_quoted(contact_id)}/companies", "data", "companies")

    def contact_tags(self, contact_id: str) -> list[dict[str, Any]]:
        """Return the tags of a contact, with their names."""
        return pages.list_items(self.request("GET", f"/contacts/{_quoted(contact_id)}/tags"), "data", "tags")

    def contact_segments(self, contact_id: str) -> list[dict[str, Any]]:
        """Return the segments of a contact."""
        return pages.list_items(self.request("GET", f"/contacts/{_quoted(contact_id)}/segments"), "data", "segments")

    def company_contacts(self, company_id: str) -> Iterator[Page]:
        """Go through the contacts of a company."""
        return self._members(f"/companies/{_quoted(company_id)}/contacts", "data", "contacts")

    def company_segments(self, company_id: str) -> list[dict[str, Any]]:
        """Return the segments of a company."""
        return pages.list_items(self.request("GET", f"/companies/{_quoted(company_id)}/segments"), "data", "segments")

    def tags(self) -> Page:
        """Return the workspace's tags, all on one page."""
        return pages.single_page(self.request("GET", "/tags"), "data", "tags")

    def segments(self) -> Page:
        """Return the workspace's segments, all on one page."""
        return pages.single_page(self.request("GET", "/segments"), "segments", "data")

    def data_attributes(self, model: Literal["contact", "company"]) -> list[dict[str, Any]]:
        """Return the attributes of contacts or companies, archived ones too; only custom ones have an id."""
        params: dict[str, str | int] = {"model": model, "include_archived": "true"}
        return pages.list_items(self.request("GET", "/data_attributes", params=params), "data")

    def admins(self) -> list[dict[str, Any]]:
        """Return the workspace's admins."""
        return pages.list_items(self.request("GET", "/admins"), "admins", "data")

    def merge_history(self, contact_id: str) -> list[dict[str, Any]]:
        """
        Return the contacts that were merged into this one, newest first; from version 2.16 on.

        Raises:
            NotFoundError: the contact does not exist, or is a lead.
        """
        merges: list[dict[str, Any]] = []
        path, cursor = f"/contacts/{_quoted(contact_id)}/merge_history", None
        while True:
            params = _with_cursor({"per_page": CONTACTS_PER_PAGE}, cursor, "cursor")
            reply = self.request("GET", path, params=params)
            merges += pages.list_items(reply, "data")
            previous, cursor = cursor, reply.json.get("next_cursor")
            if not reply.json.get("has_more") or not cursor or cursor == previous:
                return merges

    def _members(self, path: str, *keys: str) -> Iterator[Page]:
        cursor = None
        while True:
            # Some of these lists number their pages; only the cursor itself shows which ones.
            name = "page" if cursor is not None and cursor.isdigit() else "starting_after"
            params = _with_cursor({"per_page": MEMBERS_PER_PAGE}, cursor, name)
            page = pages.page_by_cursor(self.request("GET", path, params=params), cursor, *keys)
            yield page
            if (cursor := page.next) is None:
                return

    def _scroll_page(self, param: str | None) -> Reply:
        return self.request("GET", SCROLL_PATH, params={"scroll_param": param} if param else None, idempotent=False)


def _fetched(reply: Reply) -> FetchedObject:
    if not reply.json.get("id"):
        raise TransientError("Intercom's response is not an object.", RETRY_PAUSE_SECONDS, request_id=reply.request_id)
    return FetchedObject(reply.json, reply.as_of_ms)


def _with_cursor(
    params: dict[str, str | int], cursor: str | None, name: str = "starting_after"
) -> dict[str, str | int]:
    # Intercom answers 400 or 500 to an empty cursor or the word None.
    return params | {name: cursor} if cursor else params


def _quoted(object_id: str) -> str:
    return quote(object_id, safe="")
