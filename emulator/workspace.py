"""The pretend workspace: everything that can happen in it, and the truth about it."""

from collections.abc import Iterable
from typing import Any

from emulator import rest_json, segments
from emulator.company_operations import CompanyOperations
from emulator.contact_operations import ContactOperations
from emulator.emulated_notification import EmulatedNotification
from emulator.workspace_records import CompanyRecord, ContactRecord, TagRecord


class EmulatedWorkspace(ContactOperations, CompanyOperations):
    """
    Contacts (users and leads), companies and tags that live and are always consistent with themselves.

    Every link joins two objects that exist and is known at both ends; what is deleted or merged is gone and its id is
    remembered.
    """

    def fetch(self, object_type: str, object_id: str) -> dict[str, Any]:
        """
        Answer what a GET by id would find, with complete lists.

        Args:
            object_type: "contact", "company" or "tag"; of other types there are no objects here.
            object_id: its id.

        Returns:
            `as_of_ms` (milliseconds since 1970 UTC) and `status`: "found" with `object` in REST form and `archived`,
            "merged" with `into` (the id at the end of the chain), or "gone".
        """
        moment = {"as_of_ms": self.now()}
        found = self._rest_form(object_type, object_id)
        if found:
            return {"status": "found", **moment, "archived": object_id in self.archived, "object": found}
        if object_type == "contact" and object_id in self.redirects:
            return {"status": "merged", **moment, "into": self.survivor_of(object_id)}
        return {"status": "gone", **moment}

    def _rest_form(self, object_type: str, object_id: str) -> dict[str, Any] | None:
        if object_type == "contact" and object_id in self.contacts:
            return rest_json.contact(self.contacts[object_id], self.workspace_id)
        if object_type == "company" and object_id in self.companies:
            return rest_json.company(self.companies[object_id], self.workspace_id, self.tags)
        if object_type == "tag" and object_id in self.tags:
            return rest_json.tag(self.tags[object_id])
        return None

    def truth(self) -> dict[str, Any]:
        """
        Return the whole content as JSON.

        Objects are in REST form with complete lists and, so that they can be compared with ease, their links once
        more as sorted ids: `_company_ids`, `_tag_ids`, `_segment_ids` and `_archived` of a contact, `_contact_ids`,
        `_tag_ids` and `_segment_ids` of a company. `redirects` leads from each merged id to the one it was merged into,
        step by step.
        """
        return {
            "workspace_id": self.workspace_id,
            "as_of_ms": self.now(),
            "contacts": {record.id: self._true_contact(record) for record in self.contacts.values()},
            "companies": {record.id: self._true_company(record) for record in self.companies.values()},
            "tags": {tag.id: tag.name for tag in self.tags.values()},
            "segments": {segment.id: segment.name for segment in segments.ALL.values()},
            "archived": sorted(self.archived),
            "redirects": dict(self.redirects),
            "deleted": {"contact": list(self.deleted_contacts), "company": list(self.deleted_companies)},
        }

    def restore(
        self, contacts: Iterable[ContactRecord], companies: Iterable[CompanyRecord], tags: Iterable[TagRecord]
    ) -> None:
        """Put records back that were taken from a workspace before."""
        for company in companies:
            self.companies[company.id] = company
            self.company_pool.add(company.id)
            self.on_change(company)
        for tag in tags:
            self.tags[tag.id] = tag
            self.tag_pool.add(tag.id)
        for contact in contacts:
            self.contacts[contact.id] = contact
            self.place(contact)

    def retell(self) -> list[EmulatedNotification]:
        """Tell of every object as it is now, for a receiver that may have missed something; nothing changes."""
        companies = [self.tell_company("company.updated", record) for record in self.companies.values()]
        contacts = [self.tell_contact(f"contact.{record.role}.updated", record) for record in self.contacts.values()]
        stubs = [self.tell_archived(self.contacts[contact_id]) for contact_id in self.archived]
        return [*companies, *contacts, *stubs]

    def _true_contact(self, record: ContactRecord) -> dict[str, Any]:
        return rest_json.contact(record, self.workspace_id) | {
            "_company_ids": sorted(record.company_ids),
            "_tag_ids": sorted(record.tag_ids),
            "_segment_ids": segments.of_contact(record),
            "_archived": record.archived,
        }

    def _true_company(self, record: CompanyRecord) -> dict[str, Any]:
        return rest_json.company(record, self.workspace_id, self.tags) | {
            "_contact_ids": sorted(record.contact_ids),
            "_tag_ids": sorted(record.tag_ids),
            "_segment_ids": segments.of_company(record),
        }
