"""What can happen to a contact, and what Intercom tells of it."""

from collections.abc import Mapping
from typing import Any

from emulator import notification_json
from emulator.emulated_notification import EmulatedNotification
from emulator.errors import RefusedError
from emulator.field_changes import differing, settable
from emulator.random_choice import chance
from emulator.workspace_records import BLANK_CONTACT, ContactRecord, MergeRecord
from emulator.workspace_state import WorkspaceState


class ContactOperations(WorkspaceState):
    """
    Each action changes the workspace and returns the notifications that Intercom would send, none if nothing changed.

    Times among the values are in milliseconds. All raise UnknownObjectError for ids that do not exist and
    RefusedError for what cannot be done to the object as it is.
    """

    def create_contact(self, role: str, values: Mapping[str, Any] | None = None) -> list[EmulatedNotification]:
        """Create a "user" or a "lead"; a lead without an external_id is given one."""
        record = self._new_contact(role, values or {})
        return [self.tell_contact(f"contact.{role}.created", record)]

    def sign_up_visitor(self, values: Mapping[str, Any]) -> list[EmulatedNotification]:
        """Make a user of a visitor; Intercom tells it in the user form of API 1.x and in no other way."""
        record = self._new_contact("user", {"signed_up_at": self.now(), **values})
        return [self.tell("visitor.signed_up", notification_json.old_user(record, self.workspace_id), record.id)]

    def update_contact(self, contact_id: str, changes: Mapping[str, Any]) -> list[EmulatedNotification]:
        """
        Set fields; `custom_attributes` names the attributes to set (null clears one).

        A changed email has topics of its own: contact.email.updated, or contact.lead.added_email for a lead's first.
        """
        record = self.active_contact(contact_id)
        changes = differing(record.values, changes)
        if not changes:
            return []
        had_email = record.values["email"]
        record.values.update(changes)
        self.touch(record)
        topics = _email_topics(record.role, had_email) if changes.get("email") else []
        if not topics or self.habits.email_also_updated:
            topics.append(f"contact.{record.role}.updated")
        return [self.tell_contact(topic, record) for topic in topics]

    def sign_up_lead(self, contact_id: str, external_id: str) -> list[EmulatedNotification]:
        """Turn a lead into a user in place: the id stays."""
        record = self.active_contact(contact_id)
        if record.role != "lead":
            raise RefusedError("Only a lead can sign up.")
        record.values.update(role="user", external_id=external_id, signed_up_at=self.now())
        self.place(record)
        self.touch(record)
        return [self.tell_contact("contact.lead.signed_up", record)]

    def archive_contact(self, contact_id: str) -> list[EmulatedNotification]:
        """Archive a contact: it leaves lists and searches, keeps its links, and cannot be changed."""
        record = self.active_contact(contact_id)
        record.archived = True
        self.place(record)
        return [self.tell_archived(record)]

    def unarchive_contact(self, contact_id: str) -> list[EmulatedNotification]:
        """Bring an archived contact back."""
        record = self.contact(contact_id)
        if not record.archived:
            return []
        record.archived = False
        self.place(record)
        self.touch(record)
        return [self.tell_contact("contact.unarchived", record)]

    def delete_contact(self, contact_id: str) -> list[EmulatedNotification]:
        """Delete a contact for good, with its links; companies do not tell that they lost it."""
        record = self.contact(contact_id)
        self._remove(record)
        self.deleted_contacts[contact_id] = None
        return [self.tell("contact.deleted", notification_json.contact_stub(record, "deleted"), record.id)]

    def merge_contacts(self, from_id: str, into_id: str, *, any_role: bool = False) -> list[EmulatedNotification]:
        """
        Merge a lead into a user, who fills gaps from it and takes over its links; the lead's id leads to the user.

        `any_role` merges two users as well, which Intercom's API refuses and its inbox allows.
        """
        source, survivor = self.active_contact(from_id), self.active_contact(into_id)
        if source is survivor or (not any_role and (source.role, survivor.role) != ("lead", "user")):
            raise RefusedError("Only a lead can be merged, and only into a user.")
        self._remove(source)
        self.redirects[from_id] = into_id
        self.merges.append(MergeRecord(from_id, into_id, source.role, self.now()))
        self._absorb(survivor, source)
        self.touch(survivor)
        item = self.contact_item(survivor)
        if chance(self.rng, self.habits.merged_from_share):
            item["merged_from"] = {"type": "contact", "id": from_id}
        told = [self.tell("contact.merged", item, into_id)]
        if self.habits.merge_tells_deleted:
            told.append(self.tell("contact.deleted", notification_json.contact_stub(source, "deleted"), from_id))
        return told

    def tell_archived(self, record: ContactRecord) -> EmulatedNotification:
        """Make the notification that a contact is archived."""
        return self.tell("contact.archived", notification_json.contact_stub(record, "archived"), record.id)

    def survivor_of(self, contact_id: str) -> str:
        """Return the id at the end of the chain of merges that begins with this contact."""
        while contact_id in self.redirects:
            contact_id = self.redirects[contact_id]
        return contact_id

    def place(self, record: ContactRecord) -> None:
        """Put a contact where those of its role, or the archived ones, are drawn from."""
        for pool in (self.users, self.leads, self.archived):
            pool.discard(record.id)
        (self.archived if record.archived else self.users if record.role == "user" else self.leads).add(record.id)
        self.on_change(record)

    def _new_contact(self, role: str, values: Mapping[str, Any]) -> ContactRecord:
        now = self.now()
        record = ContactRecord(self.new_id(), BLANK_CONTACT | {"role": role})
        record.values.update(settable(record.values, values), created_at=now, updated_at=now)
        if role == "lead" and record.values["external_id"] is None:
            record.values["external_id"] = self.new_uuid()
        self.contacts[record.id] = record
        self.place(record)
        return record

    def _remove(self, record: ContactRecord) -> None:
        for pool in (self.users, self.leads, self.archived):
            pool.discard(record.id)
        del self.contacts[record.id]
        for company_id in record.company_ids:
            self.companies[company_id].contact_ids.pop(record.id, None)
            self.on_change(self.companies[company_id])
        self.on_change(record)

    def _absorb(self, survivor: ContactRecord, source: ContactRecord) -> None:
        gaps = {name: value for name, value in source.values.items() if survivor.values[name] is None}
        attributes = source.values["custom_attributes"] | survivor.values["custom_attributes"]
        survivor.values.update(gaps, custom_attributes=attributes)
        survivor.tag_ids.update(source.tag_ids)
        for company_id in source.company_ids:
            survivor.company_ids[company_id] = None
            self.companies[company_id].contact_ids[survivor.id] = None
            self.on_change(self.companies[company_id])


def _email_topics(role: str, had_email: str | None) -> list[str]:
    if role == "lead" and not had_email:
        return ["contact.lead.added_email"]
    return ["contact.email.updated"]
