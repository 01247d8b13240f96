"""What ties contacts to companies, tags and subscriptions, and what Intercom tells of it."""

from typing import Any

from emulator import notification_json
from emulator.emulated_notification import EmulatedNotification
from emulator.workspace_records import CompanyRecord, ContactRecord, TagRecord
from emulator.workspace_state import WorkspaceState


class LinkOperations(WorkspaceState):
    """
    Each action changes the workspace and returns the notifications that Intercom would send, none if nothing changed.

    Attaching and tagging move the contact's `updated_at` (so it was seen in January 2026) and never the company's.
    """

    def attach(self, contact_id: str, company_id: str) -> list[EmulatedNotification]:
        """Attach a contact to a company."""
        contact, company = self.active_contact(contact_id), self.company(company_id)
        if company_id in contact.company_ids:
            return []
        contact.company_ids[company_id] = None
        company.contact_ids[contact_id] = None
        self.on_change(company)
        self.touch(contact)
        return [self._tell_link("company.contact.attached", company, self.contact_item(contact))]

    def detach(self, contact_id: str, company_id: str) -> list[EmulatedNotification]:
        """Take a contact off a company."""
        contact, company = self.active_contact(contact_id), self.company(company_id)
        if company_id not in contact.company_ids:
            return []
        before = self.contact_item(contact)["companies"]
        self.unlink(contact_id, company_id)
        self.touch(contact)
        item = self.contact_item(contact)
        if self.habits.detached_list_precedes:
            item["companies"] = before
        return [self._tell_link("company.contact.detached", company, item)]

    def unlink(self, contact_id: str, company_id: str) -> None:
        """Remove a link at both ends, in silence."""
        contact, company = self.contact(contact_id), self.company(company_id)
        contact.company_ids.pop(company_id, None)
        company.contact_ids.pop(contact_id, None)
        self.on_change(contact)
        self.on_change(company)

    def create_tag(self, name: str) -> str:
        """Create a tag and return its id; no topic tells of it."""
        # Intercom's tag ids are numbers of eight digits.
        tag = TagRecord(str(11_000_000 + len(self.tags)), name)
        self.tags[tag.id] = tag
        self.tag_pool.add(tag.id)
        return tag.id

    def tag(self, contact_id: str, tag_id: str) -> list[EmulatedNotification]:
        """Put a tag on a contact."""
        record, tag = self.active_contact(contact_id), self.tag_named(tag_id)
        if tag_id in record.tag_ids:
            return []
        record.tag_ids[tag_id] = None
        return [self._tell_tag("created", record, tag)]

    def untag(self, contact_id: str, tag_id: str) -> list[EmulatedNotification]:
        """Take a tag off a contact."""
        record, tag = self.active_contact(contact_id), self.tag_named(tag_id)
        if tag_id not in record.tag_ids:
            return []
        del record.tag_ids[tag_id]
        return [self._tell_tag("deleted", record, tag)]

    def set_email_consent(self, contact_id: str, subscription_id: str, *, wanted: bool) -> list[EmulatedNotification]:
        """Subscribe a contact to emails altogether, or unsubscribe it."""
        record = self.active_contact(contact_id)
        if record.values["unsubscribed_from_emails"] is not wanted:
            return []
        record.values["unsubscribed_from_emails"] = not wanted
        word = "subscribe" if wanted else "unsubscribe"
        return [self._tell_consent(f"contact.{word}d", f"contact_{word}", record, subscription_id)]

    def set_subscription(self, contact_id: str, subscription_id: str, *, wanted: bool) -> list[EmulatedNotification]:
        """Subscribe a contact to one type of message, or unsubscribe it."""
        record = self.active_contact(contact_id)
        gains, loses = (record.opted_in, record.opted_out) if wanted else (record.opted_out, record.opted_in)
        if subscription_id in gains:
            return []
        gains[subscription_id] = None
        loses.pop(subscription_id, None)
        word = "subscribe" if wanted else "unsubscribe"
        return [self._tell_consent(f"granular.{word}", f"granular_{word}", record, subscription_id)]

    def unsubscribe_from_sms(self, contact_id: str) -> list[EmulatedNotification]:
        """Take a contact's consent to text messages back."""
        record = self.active_contact(contact_id)
        if record.values["unsubscribed_from_sms"]:
            return []
        record.values.update(unsubscribed_from_sms=True, sms_consent=False)
        self.touch(record)
        return [self.tell_contact("contact.unsubscribed_from_sms", record)]

    def _tell_link(self, topic: str, company: CompanyRecord, contact_item: dict[str, Any]) -> EmulatedNotification:
        partial = notification_json.partial_company(company, self.workspace_id)
        return self.tell(topic, notification_json.company_contact(partial, contact_item), contact_item["id"])

    def _tell_tag(self, verb: str, record: ContactRecord, tag: TagRecord) -> EmulatedNotification:
        self.touch(record)
        item = notification_json.contact_tag(tag, self.contact_item(record))
        return self.tell(f"contact.{record.role}.tag.{verb}", item, record.id)

    def _tell_consent(self, topic: str, kind: str, record: ContactRecord, subscription_id: str) -> EmulatedNotification:
        self.touch(record)
        item = notification_json.subscription(kind, self.contact_item(record), subscription_id, self.now() // 1000)
        return self.tell(topic, item, record.id)
