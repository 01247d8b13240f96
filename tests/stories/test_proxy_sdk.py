"""Intercom's own Python SDK, unmodified, with the proxy as its base address and a user token as its token."""

from collections.abc import Iterator

import pytest
from intercom import Intercom
from intercom.core.api_error import ApiError
from intercom.errors import UnauthorizedError
from intercom.types import (
    CreateContactRequestWithExternalId,
    CreateMessageRequest_Inapp,
    CreateOrUpdateCompanyRequest,
    CreateOrUpdateTagRequest,
    SingleFilterSearchRequest,
)
from intercom.types.create_message_request_from import CreateMessageRequestFrom
from intercom.types.create_message_request_to import CreateMessageRequestTo

from tests.stories.api_user import ApiUser, serve_app
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows


@pytest.fixture
def address(site: EmulatedIntercom) -> Iterator[str]:
    """The application on a port."""
    assert site
    with serve_app() as url:
        yield f"{url}/api/proxy"


@pytest.fixture
def sdk(address: str) -> Intercom:
    """The SDK of a connected user."""
    return Intercom(token=ApiUser("u-1", "demo0001").token, base_url=address)


def made(sdk: Intercom, external_id: str, **more: object) -> str:
    contact = sdk.contacts.create(request=CreateContactRequestWithExternalId(external_id=external_id, **more))
    assert contact.id
    return str(contact.id)


def test_contacts_are_created_read_updated_and_found(sdk: Intercom, fresh: str) -> None:
    """Each write is in the tables at once."""
    contact_id = made(sdk, fresh, name="Ada", custom_attributes={"seats": 3})
    assert rows("SELECT name FROM contacts WHERE id = :it", it=contact_id) == [("Ada",)]
    assert sdk.contacts.find(contact_id).name == "Ada"
    assert sdk.contacts.update(contact_id, name="Grace").name == "Grace"
    assert rows("SELECT name FROM contacts WHERE id = :it", it=contact_id) == [("Grace",)]
    found = sdk.contacts.search(query=SingleFilterSearchRequest(field="external_id", operator="=", value=fresh))
    assert [each.id for each in found] == [contact_id]
    assert sdk.contacts.show_contact_by_external_id(fresh).id == contact_id


def test_lists_are_read_page_by_page(sdk: Intercom, fresh: str, site: EmulatedIntercom) -> None:
    """The SDK follows the cursors by itself."""
    for number in range(3):
        made(sdk, f"{fresh}-{number}")
    listed = [each.id for each in sdk.contacts.list(per_page=2)]
    theirs = site.intercom.workspace_apis["demo0001"].workspace.contacts
    assert sorted(listed) == sorted(each.id for each in theirs.values() if not each.archived)


def test_companies_and_tags(sdk: Intercom, fresh: str) -> None:
    """Created, attached and detached, with their links."""
    contact_id = made(sdk, fresh)
    company = sdk.companies.create_or_update(request=CreateOrUpdateCompanyRequest(company_id=fresh, name="Works"))
    sdk.companies.attach_contact(contact_id, company_id=company.id)
    link = "SELECT company_id FROM contact_companies WHERE contact_id = :it"
    assert rows(link, it=contact_id) == [(company.id,)]
    assert rows("SELECT name FROM companies WHERE company_id = :it", it=fresh) == [("Works",)]
    sdk.companies.detach_contact(contact_id, company.id)
    assert rows(link, it=contact_id) == []
    tag = sdk.tags.create(request=CreateOrUpdateTagRequest(name=fresh))
    sdk.tags.tag_contact(contact_id, tag_id=tag.id)
    tagged = "SELECT tag_id FROM contact_tags WHERE contact_id = :it"
    assert rows(tagged, it=contact_id) == [(tag.id,)]
    assert rows("SELECT name FROM tags WHERE id = :it", it=tag.id) == [(fresh,)]
    sdk.tags.untag_contact(contact_id, tag.id)
    assert rows(tagged, it=contact_id) == []
    assert fresh in [each.name for each in sdk.tags.list().data]


def test_messages_are_sent(sdk: Intercom, fresh: str, site: EmulatedIntercom) -> None:
    """Once each."""
    contact_id = made(sdk, fresh)
    [admin] = [each for each in sdk.admins.list().admins or () if each][:1]
    sdk.messages.create(
        request=CreateMessageRequest_Inapp(
            body="Hello",
            from_=CreateMessageRequestFrom(type="admin", id=int(admin.id)),
            to=CreateMessageRequestTo(type="user", id=contact_id),
        )
    )
    messages = site.intercom.workspace_apis["demo0001"].messages
    assert [each.body for each in messages if each.contact_id == contact_id] == ["Hello"]


def test_contacts_are_archived_and_deleted(sdk: Intercom, fresh: str) -> None:
    """The tables follow at once, also for opposite changes within a second."""
    contact_id = made(sdk, fresh)
    archived = "SELECT archived FROM contacts WHERE id = :it"
    sdk.contacts.archive(contact_id)
    assert [bool(each) for (each,) in rows(archived, it=contact_id)] == [True]
    sdk.contacts.unarchive(contact_id)
    assert [bool(each) for (each,) in rows(archived, it=contact_id)] == [False]
    sdk.contacts.delete(contact_id)
    assert rows(archived, it=contact_id) == []


def test_errors_are_the_sdk_s_own(sdk: Intercom, address: str, fresh: str) -> None:
    """Intercom's errors unchanged; the mirror's with statuses that the SDK knows."""
    with pytest.raises(ApiError) as missing:
        sdk.contacts.find("66500000000000000000dead")
    assert missing.value.status_code == 404
    made(sdk, fresh)
    with pytest.raises(ApiError) as conflict:
        made(sdk, fresh)
    assert conflict.value.status_code == 409
    with pytest.raises(UnauthorizedError):
        Intercom(token="nonsense", base_url=address).contacts.find("1")
