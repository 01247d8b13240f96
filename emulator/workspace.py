"""The emulated workspace: all operations on it, and its true content."""

from collections.abc import Iterable
from typing import Any

from emulator import rest_json, segments
from emulator.company_operations import CompanyOperations
from emulator.contact_operations import ContactOperations
from emulator.emulated_notification import EmulatedNotification
from emulator.workspace_records import CompanyRecord, ContactRecord, TagRecord


class EmulatedWorkspace(ContactOperations, CompanyOperations):
    """
    Contacts (users and leads), companies and tags, always consistent.

    Every link joins two existing objects and is stored at both ends. The ids of deleted and merged objects are kept.
    """

    def fetch(self, object_type: str, object_id: str) -> dict[str, Any]:
        """
        Return the result of a GET by id, with complete lists.

        Args:
            object_type: "contact", "company" or "tag"; there are no objects of other types.
            object_id: the object's id.

        Returns:
            `as_of_ms` (milliseconds since 1970 UTC) and `status`: "found" with `object` in REST form and `archived`,
            "merged" with `into` (the id at the end of the chain), or "gone".
        """
        as_of = {"as_of_ms": self.now()}
        item = self._rest_json(object_type, object_id)
        if item:
            return {"status": "found", **as_of, "archived": object_id in self.archived, "object": item}
        if object_type == "contact" and object_id in self.redirects:
            return {"status": "merged", **as_of, "into": self.survivor_of(object_id)}
        return {"status": "gone", **as_of}

    def _rest_json(self, object_type: str, object_id: str) -> dict[str, Any] | None:
        if object_type == "contact" and object_id in self.contacts:
            return rest_json.contact(self.contacts[object_id], self.workspace_id)
        if object_type == "company" and object_id in self.companies:
            return rest_json.company(self.companies[object_id], self.workspace_id, self.tags)
        if object_type == "tag" and object_id in self.tags:
            return rest_json.tag(self.tags[object_id])
        return None

    def truth(self) -> dict[str, Any]:
        """
        Return the complete content as JSON.

        Objects are in REST form with complete lists. To make comparisons easy they also contain their links as sorted
        ids: `_company_ids`, `_tag_ids`, `_segment_ids` and `_archived` in a contact, `_contact_ids`, `_tag_ids` and
        `_segment_ids` in a company. `redirects` contains the id that each merged contact was merged into, one step at
        a time.
        """
        return {
            "workspace_id": self.workspace_id,
            "as_of_ms": self.now(),
            "contacts": {record.id: self._contact_truth(record) for record in self.contacts.values()},
            "companies": {record.id: self._company_truth(record) for record in self.companies.values()},
            "tags": {tag.id: tag.name for tag in self.tags.values()},
            "segments": {segment.id: segment.name for segment in segments.ALL.values()},
            "archived": sorted(self.archived),
            "redirects": dict(self.redirects),
            "deleted": {"contact": list(self.deleted_contacts), "company": list(self.deleted_companies)},
        }

    def restore(
        self, contacts: Iterable[ContactRecord], companies: Iterable[CompanyRecord], tags: Iterable[TagRecord]
    ) -> None:
        """Add records without notifications."""
        for company in companies:
            self.companies[company.id] = company
            self.company_pool.add(company.id)
            self.on_change(company)
        for tag in tags:
            self.tags[tag.id] = tag
            self.tag_pool.add(tag.id)
        for contact in contacts:
            self.contacts[contact.id] = contact
            self.assign_pool(contact)

    def current_notifications(self) -> list[EmulatedNotification]:
        """Return notifications of every object as it is now, for a receiver that may have missed some."""
        companies = [self.company_notification("company.updated", record) for record in self.companies.values()]
        contacts = [
            self.contact_notification(f"contact.{record.role}.updated", record) for record in self.contacts.values()
        ]
        stubs = [self.archived_notification(self.contacts[contact_id]) for contact_id in self.archived]
        return [*companies, *contacts, *stubs]

    def _contact_truth(self, record: ContactRecord) -> dict[str, Any]:
        return rest_json.contact(record, self.workspace_id) | {
            "_company_ids": sorted(record.company_ids),
            "_tag_ids": sorted(record.tag_ids),
            "_segment_ids": segments.of_contact(record),
            "_archived": record.archived,
        }

    def _company_truth(self, record: CompanyRecord) -> dict[str, Any]:
        return rest_json.company(record, self.workspace_id, self.tags) | {
            "_contact_ids": sorted(record.contact_ids),
            "_tag_ids": sorted(record.tag_ids),
            "_segment_ids": segments.of_company(record),
        }
