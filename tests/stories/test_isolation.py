"""Two users of two workspaces: with the other's ids, neither can read or change anything."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from settings import get_settings, user_keys
from tests.stories.api_user import ApiUser, problem
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows, user_token
from webhooks.app import create_app
from workers.actions.catalogue import ACTIONS

# Values for the variable parts of a path.
PARTS = {"path": "contacts", "name": "get-contact"}


@pytest.fixture
def both(site: EmulatedIntercom) -> tuple[ApiUser, ApiUser]:
    """Ada of demo0001 and Bob of demo0002."""
    assert site
    return ApiUser("ada", "demo0001"), ApiUser("bob", "demo0002")


def a_contact_of(site: EmulatedIntercom, workspace_id: str) -> str:
    """Return the id of a contact of this workspace only; emulated workspaces begin with the same ids."""
    workspaces = {name: set(tenant.workspace.contacts) for name, tenant in site.intercom.workspace_apis.items()}
    others = set().union(*(ids for name, ids in workspaces.items() if name != workspace_id))
    while not (own := set(site.intercom.workspace_apis[workspace_id].workspace.contacts) - others):
        site.intercom.workspace_apis[workspace_id].workspace.create_contact("user", {"name": "Someone"})
    return own.pop()


def guarded_routes(**parts: str) -> list[tuple[str, str]]:
    """Return every route under /api, with these values for variable parts, or invented ones."""
    found = []
    for rule in create_app().url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            path = rule.rule
            for name in rule.arguments:
                value = (PARTS | parts).get(name, "1")
                path = path.replace(f"<path:{name}>", value).replace(f"<int:{name}>", value).replace(f"<{name}>", value)
            found += [(method, path) for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"})]
    return found


@pytest.mark.parametrize(("method", "path"), guarded_routes())
def test_every_route_requires_a_token(sqlite_site: EmulatedIntercom, method: str, path: str) -> None:
    """Without one, the response is a 401 problem."""
    assert sqlite_site
    client = create_app().test_client()
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic dTpw"}, {"X-User-Id": "ada"}):
        response = client.open(path, method=method, headers=headers, json={})
        assert (response.status_code, problem(response)) == (401, "not-authorized"), (method, path)
        assert response.headers["WWW-Authenticate"] == "Bearer"


# Routes about the user, whatever workspace the header contains.
OWN = {("GET", "/api/connections"), ("GET", "/api/endpoints")}


@pytest.mark.parametrize("header", [True, False])
def test_every_route_refuses_the_ids_of_another_user(
    both: tuple[ApiUser, ApiUser], site: EmulatedIntercom, *, header: bool
) -> None:
    """With or without the other's workspace in the header: nothing is shown, and nothing is changed."""
    ada, bob = both
    contact_id = a_contact_of(site, "demo0002")
    theirs: Any = bob.request("POST", "/endpoints", json={"url": "https://bob.example.test/hook"}).json
    bob.proxy("GET", f"/contacts/{contact_id}")
    before = {table: rows(f"SELECT * FROM {table}") for table in ("endpoints", "contacts")}  # noqa: S608 -- ours
    routes = guarded_routes(endpoint_id=theirs["id"], path=f"contacts/{contact_id}")
    routes += [("POST", f"/api/actions/{name}") for name in ACTIONS]
    for method, path in routes:
        workspace = "demo0002" if header else None
        body = {"id": contact_id, "contact_id": contact_id, "body": "Hello", "name": "Ada's now"}
        query = {"after": "0", "workspace_id": "demo0002", "user_id": "bob"}
        response = ada.request(method, path.removeprefix("/api"), workspace, json=body, query_string=query)
        own = (method, path) in OWN or (path == "/api/changes" and not header)
        assert response.status_code == 200 if own else 400 <= response.status_code < 500, (method, path, response.text)
        for secret in (theirs["id"], theirs["secret"], "bob", "demo0002", "example.test"):
            assert secret not in response.text, (method, path)
    assert before == {table: rows(f"SELECT * FROM {table}") for table in before}  # noqa: S608 -- ours


def test_another_users_workspace_is_refused(both: tuple[ApiUser, ApiUser], site: EmulatedIntercom) -> None:
    """The response does not reveal whether it exists."""
    ada, _ = both
    contact_id = a_contact_of(site, "demo0002")
    responses = [
        ada.proxy("GET", f"/contacts/{contact_id}", workspace) for workspace in ("demo0002", "demo0003", "nonsense")
    ]
    responses.append(ada.act("get-contact", {"id": contact_id}, workspace="demo0002"))
    assert {(response.status_code, problem(response)) for response in responses} == {(403, "not-your-workspace")}
    assert len({response.text for response in responses}) == 1


def test_a_contact_of_another_workspace_is_not_found(both: tuple[ApiUser, ApiUser], site: EmulatedIntercom) -> None:
    """With the user's own token and the other's id."""
    ada, _ = both
    contact_id = a_contact_of(site, "demo0002")
    assert ada.proxy("GET", f"/contacts/{contact_id}").status_code == 404
    for name, given in (
        ("get-contact", {"id": contact_id}),
        ("update-contact", {"id": contact_id, "name": "Mine"}),
        ("send-message", {"contact_id": contact_id, "body": "Hello"}),
    ):
        response = ada.act(name, given)
        assert (response.status_code, problem(response)) == (404, "not-found"), name


def test_idempotency_keys_of_two_users_are_separate(
    both: tuple[ApiUser, ApiUser], site: EmulatedIntercom, fresh: str
) -> None:
    """Also within one workspace."""
    ada, _ = both
    eve = ApiUser("eve", "demo0001")
    first: Any = ada.act("create-contact", {"external_id": fresh}, key="k").json
    second = eve.act("create-contact", {"external_id": f"{fresh}-2"}, key="k")
    assert second.status_code == 200
    assert second.json["contact"]["id"] != first["contact"]["id"]  # type: ignore[index]
    assert site


def test_users_see_their_own_connections(both: tuple[ApiUser, ApiUser]) -> None:
    """And no others."""
    ada, bob = both
    for user, workspace_id in ((ada, "demo0001"), (bob, "demo0002")):
        shown: Any = user.request("GET", "/connections").json
        assert [each["workspace_id"] for each in shown["connections"]] == [workspace_id]
    stranger = ApiUser("stranger")
    assert stranger.request("GET", "/connections").json["connections"] == []  # type: ignore[index]
    response = stranger.proxy("GET", "/me")
    assert (response.status_code, problem(response)) == (409, "not-connected")


def test_a_user_of_several_workspaces_chooses_one(both: tuple[ApiUser, ApiUser]) -> None:
    """With a header; without it the response lists the user's workspaces."""
    assert both
    carol = ApiUser("carol", "demo0001", "demo0002")
    response = carol.proxy("GET", "/me")
    assert (response.status_code, problem(response)) == (409, "choose-workspace")
    assert sorted(response.json["workspaces"]) == ["demo0001", "demo0002"]  # type: ignore[index]
    chosen: Any = carol.proxy("GET", "/me", "demo0002").json
    assert chosen["app"]["id_code"] == "demo0002"


def test_the_operator_acts_for_a_user(both: tuple[ApiUser, ApiUser]) -> None:
    """With that user's permissions; without a user, for the workspace in the header."""
    assert both
    client = create_app().test_client()
    headers = {"Authorization": f"Bearer {get_settings().admin_token}"}
    mine: Any = client.get("/api/proxy/me", headers={**headers, "X-User-Id": "bob"}).json
    assert mine["app"]["id_code"] == "demo0002"
    foreign = client.get("/api/proxy/me", headers={**headers, "X-User-Id": "bob", "X-Workspace-Id": "demo0001"})
    assert problem(foreign) == "not-your-workspace"
    assert problem(client.get("/api/proxy/me", headers=headers)) == "choose-workspace"
    named: Any = client.get("/api/proxy/me", headers={**headers, "X-Workspace-Id": "demo0001"}).json
    assert named["app"]["id_code"] == "demo0001"


def test_a_user_cannot_become_another_one(both: tuple[ApiUser, ApiUser]) -> None:
    """X-User-Id has an effect only for the operator."""
    ada, _ = both
    shown: Any = ada.request("GET", "/connections", headers={"X-User-Id": "bob"}).json
    assert [each["workspace_id"] for each in shown["connections"]] == ["demo0001"]


def forged_tokens() -> dict[str, str]:
    claims = {"sub": "ada", "exp": 4_000_000_000}
    private = str(get_settings().user_token_private_key)
    public = user_keys.public_pem(private)
    stranger = ec.generate_private_key(ec.SECP256R1())
    head, _, rest = jwt.encode(claims, private, algorithm="ES256").partition(".")
    return {
        "none": jwt.encode(claims, "", algorithm="none"),
        "none with a signature": f"{jwt.encode(claims, '', algorithm='none')}{rest.rpartition('.')[2]}",
        "HS256 with the public key": _hs256(claims, public),
        "a stranger's key": jwt.encode(claims, stranger, algorithm="ES256"),
        "a foreign kid": jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": "../../etc/passwd"}),
        "a key inside": jwt.encode(
            claims,
            stranger,
            algorithm="ES256",
            headers={"jwk": {"kty": "EC"}, "jku": "http://evil.test/", "x5u": "http://x.test"},
        ),
        "expired": user_token("ada", exp=1_600_000_000),
        "not yet": user_token("ada", nbf=4_000_000_000 - 1),
        "without exp": jwt.encode({"sub": "ada"}, private, algorithm="ES256"),
        "without sub": jwt.encode({"exp": 4_000_000_000}, private, algorithm="ES256"),
        "an empty sub": user_token(""),
        "another's claims": f"{head}.{user_token('bob').split('.')[1]}.{rest.rpartition('.')[2]}",
        "two": f"{user_token('ada')},{user_token('ada')}",
    }


def _hs256(claims: dict[str, Any], secret: str) -> str:
    """Sign with a public key as if it were a secret, which PyJWT itself refuses to do."""

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def test_forged_tokens_are_refused(both: tuple[ApiUser, ApiUser]) -> None:
    """The response repeats nothing of the token."""
    assert both
    client = create_app().test_client()
    for name, token in forged_tokens().items():
        response = client.get("/api/connections", headers={"Authorization": f"Bearer {token}"})
        assert (response.status_code, problem(response)) == (401, "not-authorized"), name
        assert token not in response.text


def test_another_audience_is_refused(both: tuple[ApiUser, ApiUser], monkeypatch: pytest.MonkeyPatch) -> None:
    """With USER_TOKEN_AUDIENCE, a token for another audience, or for none, is refused."""
    assert both
    token, right = user_token("ada", aud="another"), user_token("ada", aud="mirror")
    monkeypatch.setenv("USER_TOKEN_AUDIENCE", "mirror")
    get_settings.cache_clear()
    client = create_app().test_client()
    for shown, status in ((token, 401), (user_token("ada"), 401), (right, 200)):
        assert client.get("/api/connections", headers={"Authorization": f"Bearer {shown}"}).status_code == status
