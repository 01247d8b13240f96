"""The topics about contacts and companies, and the shape of `data.item` in each (Intercom API 2.7 and later)."""

from enum import StrEnum


class Shape(StrEnum):
    """The shape of `data.item` in a topic's notifications."""

    CONTACT = "contact"  # the item is a whole contact
    CONTACT_INSIDE = "contact_inside"  # item.contact is a whole contact (subscriptions)
    CONTACT_TAG = "contact_tag"  # item.tag was added to or removed from item.contact
    CONTACT_MERGED = "contact_merged"  # the contact that remains, sometimes with merged_from
    CONTACT_DELETED = "contact_deleted"  # a stub
    CONTACT_ARCHIVED = "contact_archived"  # a stub
    CONTACT_UNARCHIVED = "contact_unarchived"  # a whole contact
    VISITOR = "visitor"  # a user in the format of API 1.x: only its id is used
    COMPANY = "company"  # a whole company
    COMPANY_DELETED = "company_deleted"  # a stub
    COMPANY_CONTACT = "company_contact"  # a partial item.company and a whole item.contact; the item has no type


SHAPES: dict[str, Shape] = {
    "contact.user.created": Shape.CONTACT,
    "contact.user.updated": Shape.CONTACT,
    "contact.lead.created": Shape.CONTACT,
    "contact.lead.updated": Shape.CONTACT,
    "contact.lead.added_email": Shape.CONTACT,
    "contact.lead.signed_up": Shape.CONTACT,
    "contact.email.updated": Shape.CONTACT,
    "contact.unsubscribed_from_sms": Shape.CONTACT,
    "contact.user.tag.created": Shape.CONTACT_TAG,
    "contact.user.tag.deleted": Shape.CONTACT_TAG,
    "contact.lead.tag.created": Shape.CONTACT_TAG,
    "contact.lead.tag.deleted": Shape.CONTACT_TAG,
    "contact.subscribed": Shape.CONTACT_INSIDE,
    "contact.unsubscribed": Shape.CONTACT_INSIDE,
    "granular.subscribe": Shape.CONTACT_INSIDE,
    "granular.unsubscribe": Shape.CONTACT_INSIDE,
    "contact.merged": Shape.CONTACT_MERGED,
    "contact.deleted": Shape.CONTACT_DELETED,
    "contact.archived": Shape.CONTACT_ARCHIVED,
    # Older pages of Intercom's documentation have the two archive topics without the final "d".
    "contact.archive": Shape.CONTACT_ARCHIVED,
    "contact.unarchived": Shape.CONTACT_UNARCHIVED,
    "contact.unarchive": Shape.CONTACT_UNARCHIVED,
    "visitor.signed_up": Shape.VISITOR,
    "company.created": Shape.COMPANY,
    "company.updated": Shape.COMPANY,
    "company.deleted": Shape.COMPANY_DELETED,
    "company.contact.attached": Shape.COMPANY_CONTACT,
    "company.contact.detached": Shape.COMPANY_CONTACT,
}

HANDLED_TOPICS = frozenset(SHAPES)

# The topics that add a link; the other topics of the same shapes remove one.
LINK_ADDED_TOPICS = frozenset({"contact.user.tag.created", "contact.lead.tag.created", "company.contact.attached"})
