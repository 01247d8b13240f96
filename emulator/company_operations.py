"""The operations on companies."""

from collections.abc import Mapping
from typing import Any

from emulator import notification_json
from emulator.emulated_notification import EmulatedNotification
from emulator.field_changes import changed_values, settable_values
from emulator.link_operations import LinkOperations
from emulator.workspace_records import BLANK_COMPANY, CompanyRecord


class CompanyOperations(LinkOperations):
    """Each operation changes the workspace and returns the notifications that Intercom sends."""

    def create_company(self, values: Mapping[str, Any]) -> list[EmulatedNotification]:
        """Create a company; times among the values are in milliseconds."""
        now = self.now()
        record = CompanyRecord(self.new_id(), dict(BLANK_COMPANY))
        record.values.update(settable_values(record.values, values), created_at=now, updated_at=now)
        self.companies[record.id] = record
        self.company_pool.add(record.id)
        self.on_change(record)
        return [self.company_notification("company.created", record)]

    def update_company(self, company_id: str, values: Mapping[str, Any]) -> list[EmulatedNotification]:
        """Set fields; `custom_attributes` contains the attributes to set (null clears one)."""
        record = self.company(company_id)
        changes = changed_values(record.values, values)
        if not changes:
            return []
        record.values.update(changes)
        self.mark_updated(record)
        return [self.company_notification("company.updated", record)]

    def delete_company(self, company_id: str) -> list[EmulatedNotification]:
        """Delete a company. Its contacts are detached first, archived ones without a notification."""
        record = self.company(company_id)
        notifications: list[EmulatedNotification] = []
        for contact_id in list(record.contact_ids):
            if self.variants.deletion_sends_detached and contact_id not in self.archived:
                notifications += self.detach(contact_id, company_id)
            else:
                self.remove_link(contact_id, company_id)
        del self.companies[company_id]
        self.company_pool.discard(company_id)
        self.deleted_companies[company_id] = None
        self.on_change(record)
        stub = notification_json.company_stub(record)
        return [*notifications, self.notification("company.deleted", stub, company_id)]

    def tag_company(self, company_id: str, tag_id: str) -> list[EmulatedNotification]:
        """Tag a company. There is no notification and `updated_at` stays: the next change of the company shows it."""
        record = self.company(company_id)
        record.tag_ids[self.tag_with_id(tag_id).id] = None
        self.on_change(record)
        return []

    def company_notification(self, topic: str, record: CompanyRecord) -> EmulatedNotification:
        """Make a notification whose item is the complete company."""
        return self.notification(topic, notification_json.company(record, self.workspace_id), record.id)
