"""What can happen to a company, and what Intercom tells of it."""

from collections.abc import Mapping
from typing import Any

from emulator import notification_json
from emulator.emulated_notification import EmulatedNotification
from emulator.field_changes import differing, settable
from emulator.link_operations import LinkOperations
from emulator.workspace_records import BLANK_COMPANY, CompanyRecord


class CompanyOperations(LinkOperations):
    """Each action changes the workspace and returns the notifications that Intercom would send."""

    def create_company(self, values: Mapping[str, Any]) -> list[EmulatedNotification]:
        """Create a company; times among the values are in milliseconds."""
        now = self.now()
        record = CompanyRecord(self.new_id(), dict(BLANK_COMPANY))
        record.values.update(settable(record.values, values), created_at=now, updated_at=now)
        self.companies[record.id] = record
        self.company_pool.add(record.id)
        self.on_change(record)
        return [self.tell_company("company.created", record)]

    def update_company(self, company_id: str, changes: Mapping[str, Any]) -> list[EmulatedNotification]:
        """Set fields; `custom_attributes` names the attributes to set (null clears one)."""
        record = self.company(company_id)
        changes = differing(record.values, changes)
        if not changes:
            return []
        record.values.update(changes)
        self.touch(record)
        return [self.tell_company("company.updated", record)]

    def delete_company(self, company_id: str) -> list[EmulatedNotification]:
        """Delete a company for good: its contacts are detached first, archived ones in silence."""
        record = self.company(company_id)
        told: list[EmulatedNotification] = []
        for contact_id in list(record.contact_ids):
            if self.habits.tell_detachments_of_deleted and contact_id not in self.archived:
                told += self.detach(contact_id, company_id)
            else:
                self.unlink(contact_id, company_id)
        del self.companies[company_id]
        self.company_pool.discard(company_id)
        self.deleted_companies[company_id] = None
        self.on_change(record)
        return [*told, self.tell("company.deleted", notification_json.company_stub(record), company_id)]

    def tag_company(self, company_id: str, tag_id: str) -> list[EmulatedNotification]:
        """Tag a company. No topic tells of it and `updated_at` stays: it shows the next time the company changes."""
        record = self.company(company_id)
        record.tag_ids[self.tag_named(tag_id).id] = None
        self.on_change(record)
        return []

    def tell_company(self, topic: str, record: CompanyRecord) -> EmulatedNotification:
        """Make a notification whose item is the whole company."""
        return self.tell(topic, notification_json.company(record, self.workspace_id), record.id)
