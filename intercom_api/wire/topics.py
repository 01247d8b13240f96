"""The topics that concern contacts and companies, and the shape of what each carries (Intercom API 2.7 and later)."""

from enum import StrEnum


class Shape(StrEnum):
    """How `data.item` of a topic is to be read."""

    CONTACT = "contact"  # the whole contact is the item
    CONTACT_INSIDE = "contact_inside"  # the whole contact is item.contact (subscriptions)
    CONTACT_TAG = "contact_tag"  # item.tag was put on or taken off item.contact
    CONTACT_MERGED = "contact_merged"  # the surviving contact, at times with merged_from
    CONTACT_DELETED = "contact_deleted"  # a stub
    CONTACT_ARCHIVED = "contact_archived"  # a stub
    CONTACT_UNARCHIVED = "contact_unarchived"  # the whole contact
    VISITOR = "visitor"  # the user form of API 1.x: only its id is believed
    COMPANY = "company"  # the whole company
    COMPANY_DELETED = "company_deleted"  # a stub
    COMPANY_CONTACT = "company_contact"  # item.company in part, item.contact whole; the item has no type


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
    # Old pages of the documentation name the two archive topics without the final "d".
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

# The topics that put a link there; the other topics of the same shapes take it away.
LINK_ADDED_TOPICS = frozenset({"contact.user.tag.created", "contact.lead.tag.created", "company.contact.attached"})
