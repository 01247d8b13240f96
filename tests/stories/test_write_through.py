"""What responses show is in the tables at once; while SQL is unavailable, a refetch request goes into the inbox."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from structlog.testing import capture_logs

from intercom_api.rate_limit.lanes import Lane
from models.db.bulk import lookup_column
from tests.stories.api_user import ApiUser
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from workers import write_through
from workers.connections import registry
from workers.inbox.batch import DrainContext, process_batch
from workers.inbox.reader import InboxReader
from workers.refetch.dirty_objects import refetch_dirty
from workers.refetch.fetch_object import intercom_fetch
from workers.runtime import process_resources
from workers.runtime.redis_keys import INBOX


@pytest.fixture
def user(site: EmulatedIntercom) -> Iterator[ApiUser]:
    """A user who is connected to one workspace."""
    assert site
    yield ApiUser("u-1", "demo0001")
    write_through._Outage.until = 0.0


def drain() -> None:
    """Apply what is in the inbox, and fetch dirty objects."""
    reader = InboxReader(process_resources.redis(), "test/0")
    process_batch(
        DrainContext(process_resources.redis(), reader, process_resources.engine(), lambda: None), reader.read_new(100)
    )
    while refetch_dirty(process_resources.engine(), intercom_fetch(registry.client_of), datetime.now(UTC)):
        pass


def without_sql(do: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Do something while the mirror cannot write; looking up tokens still works, as from a replica."""
    unavailable: Engine = create_engine(
        "postgresql+psycopg://nouser@127.0.0.1:9/none", connect_args={"connect_timeout": 1}
    )
    with monkeypatch.context() as patched:
        patched.setattr(write_through, "engine", lambda: unavailable)
        patched.setattr(write_through, "reader", lambda: unavailable)
        return do()


def test_a_write_is_refetched_when_sql_was_unavailable(
    user: ApiUser, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets the response all the same, and the row comes once SQL works again."""
    response = without_sql(lambda: user.proxy("POST", "/contacts", json={"external_id": fresh}), monkeypatch)
    assert response.status_code == 200
    found = "SELECT id FROM contacts WHERE external_id = :it"
    assert rows(found, it=fresh) == []
    drain()
    assert rows(found, it=fresh) == [(response.json["id"],)]
    assert process_resources.redis().xlen(INBOX) == 0


def test_an_object_that_is_read_without_sql_is_refetched_too(
    user: ApiUser, site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unknown whether it is stored already, so it is fetched once SQL works again."""
    contacts = site.intercom.workspace_apis["demo0001"].workspace.contacts
    contact_id = next(each.id for each in contacts.values() if not each.archived)
    assert without_sql(lambda: user.proxy("GET", f"/contacts/{contact_id}"), monkeypatch).status_code == 200
    assert rows("SELECT id FROM contacts") == []
    drain()
    assert rows("SELECT id FROM contacts") == [(contact_id,)]


def test_a_notification_cannot_become_a_refetch_request(user: ApiUser) -> None:
    """Whatever a signed body contains, it is a notification."""
    assert user
    forged = b'{"workspace_id": "demo0001", "objects": [["contact", "6b0000000000000000000000"]]}'
    process_resources.redis().xadd(INBOX, {"b": forged, "t": 1})
    drain()
    assert rows("SELECT count(*) FROM object_states WHERE object_id = '6b0000000000000000000000'") == [(0,)]
    assert rows("SELECT count(*) FROM parked") == [(1,)]


def test_an_unchanged_object_is_not_written_again(user: ApiUser, fresh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading through the proxy costs no transaction where nothing is new: one object, a list, or tags."""
    contact_id = user.proxy("POST", "/contacts", json={"external_id": fresh}).json["id"]  # type: ignore[index]
    paths = (f"/contacts/{contact_id}", "/contacts?per_page=150", "/tags")
    for path in paths:
        assert user.proxy("GET", path).status_code == 200
    monkeypatch.setattr(write_through, "transaction", _no_transaction)
    with capture_logs() as logs:
        for path in paths:
            assert user.proxy("GET", path).status_code == 200
    assert logs == []


def test_an_object_that_is_read_by_its_id_is_looked_up_once(
    user: ApiUser, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known object costs one query."""
    contact_id = user.proxy("POST", "/contacts", json={"external_id": fresh}).json["id"]  # type: ignore[index]
    lookups: list[Any] = []

    def record(*arguments: Any) -> Any:
        lookups.append(arguments[-1])
        return lookup_column(*arguments)

    monkeypatch.setattr(write_through, "lookup_column", record)
    assert user.proxy("GET", f"/contacts/{contact_id}").status_code == 200
    assert lookups == [[("demo0001", contact_id)]]


def test_a_lookup_that_fails_does_not_fail_the_call(user: ApiUser, fresh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets Intercom's response, and the log names the error."""
    contact_id = user.proxy("POST", "/contacts", json={"external_id": fresh}).json["id"]  # type: ignore[index]

    def fail(*_arguments: Any) -> Any:
        raise ValueError

    monkeypatch.setattr(write_through, "lookup_column", fail)
    monkeypatch.setattr(write_through, "transaction", _no_transaction)
    with capture_logs() as logs:
        assert user.proxy("GET", f"/contacts/{contact_id}").status_code == 200
    assert [(line["event"], line["error"]) for line in logs] == [("response not written through", "ValueError")]


def _no_transaction(_engine: Engine) -> Any:
    raise AssertionError


def test_objects_that_are_read_become_rows(user: ApiUser, site: EmulatedIntercom) -> None:
    """By id, in lists and in searches."""
    contacts = site.intercom.workspace_apis["demo0001"].workspace.contacts
    some = [each.id for each in contacts.values() if not each.archived]
    assert user.proxy("GET", f"/contacts/{some[0]}").status_code == 200
    assert rows("SELECT id FROM contacts") == [(some[0],)]
    assert user.proxy("GET", "/contacts?per_page=150").status_code == 200
    assert sorted(row[0] for row in rows("SELECT id FROM contacts")) == sorted(some)
    assert rows("SELECT DISTINCT source FROM changes") == [("write_through",)]


def test_another_workspace_s_objects_are_left_out(user: ApiUser) -> None:
    """Whatever a response contains, only its own workspace is stored."""
    client = registry.client_of("demo0001", Lane.INTERACTIVE)
    assert client is not None
    reply = client.request("GET", "/contacts")
    write_through.write_through("demo0002", "GET", "/contacts", reply)
    assert rows("SELECT count(*) FROM contacts") == [(0,)]
    assert user


def test_deleting_an_object_deletes_its_row(user: ApiUser, fresh: str) -> None:
    """Contacts and companies, with their links."""
    contact_id = user.proxy("POST", "/contacts", json={"external_id": fresh}).json["id"]  # type: ignore[index]
    made: Any = user.proxy("POST", "/companies", json={"company_id": fresh, "name": "Works"}).json
    user.proxy("POST", f"/contacts/{contact_id}/companies", json={"id": made["id"]})
    assert rows("SELECT contact_id, company_id FROM contact_companies") == [(contact_id, made["id"])]
    user.proxy("DELETE", f"/companies/{made['id']}")
    assert rows("SELECT id FROM companies WHERE id = :it", it=made["id"]) == []
    user.proxy("DELETE", f"/contacts/{contact_id}")
    assert rows("SELECT id FROM contacts WHERE id = :it", it=contact_id) == []
    assert rows("SELECT * FROM contact_companies") == []
