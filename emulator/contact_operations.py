"""The operations on contacts."""

from collections.abc import Mapping
from typing import Any

from emulator import notification_json
from emulator.emulated_notification import EmulatedNotification
from emulator.errors import RefusedError
from emulator.field_changes import changed_values, settable_values
from emulator.random_choice import chance, random_uuid
from emulator.workspace_records import BLANK_CONTACT, ContactRecord, MergeRecord
from emulator.workspace_state import WorkspaceState


class ContactOperations(WorkspaceState):
    """
    Each operation changes the workspace and returns the notifications that Intercom sends; none if nothing changed.

    Times among the values are in milliseconds. All operations raise UnknownObjectError for an unknown id and
    RefusedError for what is impossible in the contact's present state.
    """

    def create_contact(self, role: str, values: Mapping[str, Any] | None = None) -> list[EmulatedNotification]:
        """Create a "user" or a "lead"; a lead without an external_id receives one."""
        record = self._add_contact(role, values or {})
        return [self.contact_notification(f"contact.{role}.created", record)]

    def sign_up_visitor(self, values: Mapping[str, Any]) -> list[EmulatedNotification]:
        """Turn a visitor into a user. Intercom only sends this in the user format of API 1.x."""
        record = self._add_contact("user", {"signed_up_at": self.now(), **values})
        item = notification_json.old_user(record, self.workspace_id)
        return [self.notification("visitor.signed_up", item, record.id)]

    def update_contact(self, contact_id: str, values: Mapping[str, Any]) -> list[EmulatedNotification]:
        """
        Set fields; `custom_attributes` contains the attributes to set (null clears one).

        A changed email has topics of its own: contact.email.updated, or contact.lead.added_email for a lead's first.
        """
        record = self.active_contact(contact_id)
        changes = changed_values(record.values, values)
        if not changes:
            return []
        email_before = record.values["email"]
        record.values.update(changes)
        self.mark_updated(record)
        topics = _email_topics(record.role, email_before) if changes.get("email") else []
        if not topics or self.variants.email_also_updated:
            topics.append(f"contact.{record.role}.updated")
        return [self.contact_notification(topic, record) for topic in topics]

    def sign_up_lead(self, contact_id: str, external_id: str) -> list[EmulatedNotification]:
        """Turn a lead into a user; the id stays the same."""
        record = self.active_contact(contact_id)
        if record.role != "lead":
            raise RefusedError("Only a lead can sign up.")
        record.values.update(role="user", external_id=external_id, signed_up_at=self.now())
        self.assign_pool(record)
        self.mark_updated(record)
        return [self.contact_notification("contact.lead.signed_up", record)]

    def archive_contact(self, contact_id: str) -> list[EmulatedNotification]:
        """Archive a contact: it disappears from lists and searches, keeps its links, and cannot be changed."""
        record = self.active_contact(contact_id)
        record.archived = True
        self.assign_pool(record)
        return [self.archived_notification(record)]

    def unarchive_contact(self, contact_id: str) -> list[EmulatedNotification]:
        """Unarchive a contact."""
        record = self.contact(contact_id)
        if not record.archived:
            return []
        record.archived = False
        self.assign_pool(record)
        self.mark_updated(record)
        return [self.contact_notification("contact.unarchived", record)]

    def delete_contact(self, contact_id: str) -> list[EmulatedNotification]:
        """Delete a contact and its links; there are no notifications of its companies."""
        record = self.contact(contact_id)
        self._remove_contact(record)
        self.deleted_contacts[contact_id] = None
        return [self.notification("contact.deleted", notification_json.contact_stub(record, "deleted"), record.id)]

    def merge_contacts(self, from_id: str, into_id: str, *, any_role: bool = False) -> list[EmulatedNotification]:
        """
        Merge a lead into a user. The user takes over values that it lacks, and the links; the lead's id redirects.

        Args:
            from_id: the contact to merge; it disappears.
            into_id: the contact that survives.
            any_role: also merge two users, which Intercom's API refuses and its inbox allows.
        """
        source, survivor = self.active_contact(from_id), self.active_contact(into_id)
        if source is survivor or (not any_role and (source.role, survivor.role) != ("lead", "user")):
            raise RefusedError("Only a lead can be merged, and only into a user.")
        self._remove_contact(source)
        self.redirects[from_id] = into_id
        self.merges.append(MergeRecord(from_id, into_id, source.role, self.now()))
        self._copy_to_survivor(survivor, source)
        self.mark_updated(survivor)
        item = self.contact_item(survivor)
        if chance(self.rng, self.variants.merged_from_share):
            item["merged_from"] = {"type": "contact", "id": from_id}
        notifications = [self.notification("contact.merged", item, into_id)]
        if self.variants.merge_sends_deleted:
            stub = notification_json.contact_stub(source, "deleted")
            notifications.append(self.notification("contact.deleted", stub, from_id))
        return notifications

    def archived_notification(self, record: ContactRecord) -> EmulatedNotification:
        """Make the notification of an archived contact."""
        return self.notification("contact.archived", notification_json.contact_stub(record, "archived"), record.id)

    def survivor_of(self, contact_id: str) -> str:
        """Return the id at the end of the chain of merges that begins with this contact."""
        while contact_id in self.redirects:
            contact_id = self.redirects[contact_id]
        return contact_id

    def assign_pool(self, record: ContactRecord) -> None:
        """Put a contact into the pool of its role, or of the archived contacts."""
        for pool in (self.users, self.leads, self.archived):
            pool.discard(record.id)
        (self.archived if record.archived else self.users if record.role == "user" else self.leads).add(record.id)
        self.on_change(record)

    def _add_contact(self, role: str, values: Mapping[str, Any]) -> ContactRecord:
        now = self.now()
        record = ContactRecord(self.new_id(), BLANK_CONTACT | {"role": role})
        record.values.update(settable_values(record.values, values), created_at=now, updated_at=now)
        if role == "lead" and record.values["external_id"] is None:
            record.values["external_id"] = random_uuid(self.rng)
        self.contacts[record.id] = record
        self.assign_pool(record)
        return record

    def _remove_contact(self, record: ContactRecord) -> None:
        for pool in (self.users, self.leads, self.archived):
            pool.discard(record.id)
        del self.contacts[record.id]
        for company_id in record.company_ids:
            self.companies[company_id].contact_ids.pop(record.id, None)
            self.on_change(self.companies[company_id])
        self.on_change(record)

    def _copy_to_survivor(self, survivor: ContactRecord, source: ContactRecord) -> None:
        missing = {name: value for name, value in source.values.items() if survivor.values[name] is None}
        attributes = source.values["custom_attributes"] | survivor.values["custom_attributes"]
        survivor.values.update(missing, custom_attributes=attributes)
        survivor.tag_ids.update(source.tag_ids)
        for company_id in source.company_ids:
            survivor.company_ids[company_id] = None
            self.companies[company_id].contact_ids[survivor.id] = None
            self.on_change(self.companies[company_id])


def _email_topics(role: str, email_before: str | None) -> list[str]:
    if role == "lead" and not email_before:
        return ["contact.lead.added_email"]
    return ["contact.email.updated"]
