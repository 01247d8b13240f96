"""The operations on links: companies, tags and subscriptions of contacts."""

from typing import Any

from emulator import notification_json
from emulator.emulated_notification import EmulatedNotification
from emulator.workspace_records import CompanyRecord, ContactRecord, TagRecord
from emulator.workspace_state import WorkspaceState
from intercom_api.wire.times import MS_PER_SECOND

# Intercom's tag ids have eight digits.
_FIRST_TAG = 11_000_000


class LinkOperations(WorkspaceState):
    """
    Each operation changes the workspace and returns the notifications that Intercom sends; none if nothing changed.

    Attaching and tagging update the contact's `updated_at` (observed in January 2026), never the company's.
    """

    def attach(self, contact_id: str, company_id: str) -> list[EmulatedNotification]:
        """Attach a contact to a company."""
        contact, company = self.active_contact(contact_id), self.company(company_id)
        if company_id in contact.company_ids:
            return []
        contact.company_ids[company_id] = None
        company.contact_ids[contact_id] = None
        self.on_change(company)
        self.mark_updated(contact)
        return [self._link_notification("company.contact.attached", company, self.contact_item(contact))]

    def detach(self, contact_id: str, company_id: str) -> list[EmulatedNotification]:
        """Detach a contact from a company."""
        contact, company = self.active_contact(contact_id), self.company(company_id)
        if company_id not in contact.company_ids:
            return []
        companies_before = self.contact_item(contact)["companies"]
        self.remove_link(contact_id, company_id)
        self.mark_updated(contact)
        item = self.contact_item(contact)
        if self.variants.detached_list_precedes:
            item["companies"] = companies_before
        return [self._link_notification("company.contact.detached", company, item)]

    def remove_link(self, contact_id: str, company_id: str) -> None:
        """Remove a link at both ends, without a notification."""
        contact, company = self.contact(contact_id), self.company(company_id)
        contact.company_ids.pop(company_id, None)
        company.contact_ids.pop(contact_id, None)
        self.on_change(contact)
        self.on_change(company)

    def create_tag(self, name: str) -> str:
        """Create a tag and return its id; there is no notification of it."""
        tag = TagRecord(str(_FIRST_TAG + len(self.tags)), name)
        self.tags[tag.id] = tag
        self.tag_pool.add(tag.id)
        return tag.id

    def tag(self, contact_id: str, tag_id: str) -> list[EmulatedNotification]:
        """Add a tag to a contact."""
        record, tag = self.active_contact(contact_id), self.tag_with_id(tag_id)
        if tag_id in record.tag_ids:
            return []
        record.tag_ids[tag_id] = None
        return [self._tag_notification("created", record, tag)]

    def untag(self, contact_id: str, tag_id: str) -> list[EmulatedNotification]:
        """Remove a tag from a contact."""
        record, tag = self.active_contact(contact_id), self.tag_with_id(tag_id)
        if tag_id not in record.tag_ids:
            return []
        del record.tag_ids[tag_id]
        return [self._tag_notification("deleted", record, tag)]

    def set_email_consent(
        self, contact_id: str, subscription_id: str, *, subscribed: bool
    ) -> list[EmulatedNotification]:
        """Subscribe a contact to all emails, or unsubscribe it from all."""
        record = self.active_contact(contact_id)
        if record.values["unsubscribed_from_emails"] is not subscribed:
            return []
        record.values["unsubscribed_from_emails"] = not subscribed
        verb = "subscribe" if subscribed else "unsubscribe"
        return [self._consent_notification(f"contact.{verb}d", f"contact_{verb}", record, subscription_id)]

    def set_subscription(
        self, contact_id: str, subscription_id: str, *, subscribed: bool
    ) -> list[EmulatedNotification]:
        """Subscribe a contact to one subscription type, or unsubscribe it."""
        record = self.active_contact(contact_id)
        target, other = (record.opted_in, record.opted_out) if subscribed else (record.opted_out, record.opted_in)
        if subscription_id in target:
            return []
        target[subscription_id] = None
        other.pop(subscription_id, None)
        verb = "subscribe" if subscribed else "unsubscribe"
        return [self._consent_notification(f"granular.{verb}", f"granular_{verb}", record, subscription_id)]

    def unsubscribe_from_sms(self, contact_id: str) -> list[EmulatedNotification]:
        """Withdraw a contact's consent to text messages."""
        record = self.active_contact(contact_id)
        if record.values["unsubscribed_from_sms"]:
            return []
        record.values.update(unsubscribed_from_sms=True, sms_consent=False)
        self.mark_updated(record)
        return [self.contact_notification("contact.unsubscribed_from_sms", record)]

    def _link_notification(
        self, topic: str, company: CompanyRecord, contact_item: dict[str, Any]
    ) -> EmulatedNotification:
        partial = notification_json.partial_company(company, self.workspace_id)
        return self.notification(topic, notification_json.company_contact(partial, contact_item), contact_item["id"])

    def _tag_notification(self, verb: str, record: ContactRecord, tag: TagRecord) -> EmulatedNotification:
        self.mark_updated(record)
        item = notification_json.contact_tag(tag, self.contact_item(record))
        return self.notification(f"contact.{record.role}.tag.{verb}", item, record.id)

    def _consent_notification(
        self, topic: str, type_: str, record: ContactRecord, subscription_id: str
    ) -> EmulatedNotification:
        self.mark_updated(record)
        seconds = self.now() // MS_PER_SECOND
        item = notification_json.subscription(type_, self.contact_item(record), subscription_id, seconds)
        return self.notification(topic, item, record.id)
