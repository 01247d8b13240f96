"""Intercom's own SDK as the client of the emulator, over HTTP."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from intercom import CreateMessageRequest_Email as Email
from intercom import CreateMessageRequest_Inapp as Inapp
from intercom import CreateMessageRequestFrom as From
from intercom import CreateMessageRequestTo as To
from intercom import Intercom as Sdk
from intercom.core.api_error import ApiError
from intercom.errors import BadRequestError, NotFoundError, UnauthorizedError
from intercom.types.multiple_filter_search_request import MultipleFilterSearchRequest as Group
from intercom.types.single_filter_search_request import SingleFilterSearchRequest as Filter
from intercom.types.starting_after_paging import StartingAfterPaging as Paging

from emulator.api.intercom_emulator import IntercomEmulator
from emulator.bulk_load import bulk_load
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.simulation import Simulation
from emulator.web_app import make_emulator_server
from emulator.workspace import EmulatedWorkspace
from intercom_api.wire.signatures import verify


class Receiver(BaseHTTPRequestHandler):
    """Stores notifications and their signatures."""

    received: list[tuple[bytes, str | None]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((body, self.headers["X-Hub-Signature"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class SdkFixture:
    """An Intercom emulator on a port of its own, its notifications, and the SDK."""

    def __init__(
        self, intercom: IntercomEmulator, sender: NotificationSender, address: str, http: httpx.Client
    ) -> None:
        self.intercom = intercom
        self.sender = sender
        self.received: list[tuple[bytes, str | None]] = []
        self.workspace = intercom.workspace_apis["demo0001"].workspace
        self.sdk = Sdk(token="dev-token-demo0001", base_url=address, httpx_client=http)
        self.unauthorized = Sdk(token="unknown", base_url=address, httpx_client=http)


@pytest.fixture
def site() -> Iterator[SdkFixture]:
    received: list[tuple[bytes, str | None]] = []
    handler = type("Handler", (Receiver,), {"received": received})
    workspace = EmulatedWorkspace()
    bulk_load(workspace, 60, 40, links=2, seed=5)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as receiver:
        threading.Thread(target=receiver.serve_forever, args=(0.01,), daemon=True).start()
        target = WebhookTarget(f"http://127.0.0.1:{receiver.server_port}/webhooks/intercom", "cs_example")
        with NotificationSender(target) as sender, Simulation(workspace, sender, rate=0) as simulation:
            intercom = IntercomEmulator([simulation])
            server = make_emulator_server(simulation, 0, intercom)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            with httpx.Client(timeout=30) as http:
                site = SdkFixture(intercom, sender, f"http://127.0.0.1:{server.server_port}/us", http)
                site.received = received
                yield site
            server.shutdown()
            thread.join()
        receiver.shutdown()


def test_contacts_are_created_read_and_updated(site: SdkFixture) -> None:
    """Each change has a signed notification."""
    contacts = site.sdk.contacts
    made = contacts.create(request={"email": "ada@orchard.example", "name": "Ada"})
    assert made.id
    assert contacts.find(contact_id=made.id).name == "Ada"
    assert contacts.update(contact_id=made.id, name="Ada Ito", owner_id=7_450_231).name == "Ada Ito"
    assert site.sender.wait(5)
    assert len(site.received) == 2
    for body, signature in site.received:
        verify(body, signature, ["cs_example"])


def test_every_page_of_contacts_is_read(site: SdkFixture) -> None:
    """The SDK follows the cursors of a list. For a search the test passes them: the SDK's pager repeats page each."""
    active = {*site.workspace.users, *site.workspace.leads}
    assert {each.id for each in site.sdk.contacts.list(per_page=25)} == active
    users = Group(operator="AND", value=[Filter(field="role", operator="=", value="user")])
    found: list[str | None] = []
    paging = Paging(per_page=20)
    for _ in range(-(-len(site.workspace.users) // 20)):
        page = site.sdk.contacts.search(query=users, pagination=paging)
        found += [each.id for each in page.items or []]
        next_page = page.response.pages.next if page.response.pages else None
        paging = Paging(per_page=20, starting_after=next_page.starting_after if next_page else None)
    assert sorted(map(str, found)) == sorted(site.workspace.users)


def test_every_company_is_listed_and_scrolled(site: SdkFixture) -> None:
    """The SDK ends a scroll at the empty page."""
    archived = set(site.workspace.archived)
    expected = {each.id for each in site.workspace.companies.values() if set(each.contact_ids) - archived}
    pages = [site.sdk.companies.list(page=page, per_page=20).items or [] for page in (1, 2)]
    assert {each.id for page in pages for each in page} == expected
    assert {each.id for each in site.sdk.companies.scroll()} == expected


def test_companies_are_written_attached_and_detached(site: SdkFixture) -> None:
    """Both ends list the link of a contact and a company."""
    user = site.sdk.contacts.create(request={"external_id": "a1", "role": "user"}).id
    made = site.sdk.companies.create_or_update(request={"company_id": "org_x", "name": "Quarry"})
    assert user
    assert made.id
    site.sdk.companies.attach_contact(user, company_id=made.id)
    site.intercom.switches.companies_key = "companies"
    assert [each.id for each in site.sdk.contacts.list_attached_companies(user).items or []] == [made.id]
    assert [each.id for each in site.sdk.companies.list_attached_contacts(made.id).data or []] == [user]
    assert site.sdk.companies.detach_contact(user, made.id).user_count == 0
    assert site.sdk.companies.retrieve(company_id="org_x")
    site.sdk.companies.delete(made.id)
    with pytest.raises(NotFoundError):
        site.sdk.companies.find(made.id)


def test_tags_segments_and_attributes(site: SdkFixture) -> None:
    """The SDK reads lists in all of Intercom's formats."""
    user = site.sdk.contacts.create(request={"external_id": "a1", "role": "user"}).id
    tag = site.sdk.tags.create(request={"name": "from the SDK"})
    assert user
    site.sdk.tags.tag_contact(user, tag_id=tag.id)
    assert [each.name for each in site.sdk.contacts.list_attached_tags(user).data] == ["from the SDK"]
    site.sdk.tags.untag_contact(user, tag.id)
    assert site.sdk.contacts.list_attached_tags(user).data == []
    assert [each.name for each in site.sdk.contacts.list_attached_segments(user).data] == ["Signed up"]
    assert site.sdk.segments.list().segments
    assert any(each.name == "plan_tier" for each in site.sdk.data_attributes.list(model="contact").data or [])
    assert site.sdk.admins.identify().app.id_code == "demo0001"


def test_messages_are_sent(site: SdkFixture) -> None:
    """In the app and by email."""
    user = site.sdk.contacts.create(request={"external_id": "a1", "role": "user"}).id
    assert user
    sender, receiver = From(id=7_450_231), To(type="user", id=user)
    site.sdk.messages.create(request=Inapp(body="Hello", from_=sender, to=receiver))
    email = Email(subject="Hi", body="Hello", template="plain", from_=sender, to=receiver)
    assert site.sdk.messages.create(request=email).subject == "Hi"
    sent = site.intercom.workspace_apis["demo0001"].messages
    assert [each.message_type for each in sent] == ["inapp", "email"]


def test_merging_archiving_deleting(site: SdkFixture) -> None:
    """A merged contact is a 410, a deleted one a 404."""
    contacts = site.sdk.contacts
    user = contacts.create(request={"email": "ada@orchard.example", "role": "user"}).id
    lead = contacts.create(request={"email": "ada@orchard.example", "role": "lead"}).id
    assert user
    assert lead
    assert contacts.merge_lead_in_user(lead_id=lead, contact_id=user).id == user
    with pytest.raises(ApiError) as caught:
        contacts.find(contact_id=lead)
    assert caught.value.status_code == 410
    assert contacts.archive(user).archived
    assert not contacts.unarchive(user).archived
    assert contacts.delete(user).deleted
    with pytest.raises(ApiError) as caught:
        contacts.delete(user)
    assert caught.value.status_code == 404


def test_errors_have_the_sdks_exceptions(site: SdkFixture) -> None:
    """Each kind of error raises the SDK's own exception."""
    with pytest.raises(UnauthorizedError):
        site.unauthorized.contacts.find(contact_id="1")
    with pytest.raises(BadRequestError):
        site.sdk.companies.create_or_update(request={"size": 3})
    site.sdk.contacts.create(request={"external_id": "a1", "role": "user"})
    with pytest.raises(ApiError) as caught:
        site.sdk.contacts.create(request={"external_id": "a1", "role": "user"})
    assert caught.value.status_code == 409
