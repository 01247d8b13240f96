"""
Allowing the app, exchanging the code for a token, removing the app again.

Source:
    Intercom, "Setting up OAuth", "Installing and uninstalling apps".
"""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import msgspec
import requests
from jinja2 import Environment, PackageLoader

from emulator.api import bodies
from emulator.api.calls import Answer
from emulator.api.faults import ApiError, bad_request
from emulator.api.tenant import Tenant
from emulator.errors import NotLoopbackError
from emulator.loopback import require_loopback
from intercom_api.wire.signatures import sign_body

if TYPE_CHECKING:
    from emulator.api.intercom import Intercom, Request

_TIMEOUT_SECONDS = 5.0
_FOUND = 302
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    # The form leads on to the app's redirect address, which is another origin on this machine.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_templates = Environment(loader=PackageLoader("emulator"), autoescape=True)


def authorize(intercom: "Intercom", request: "Request") -> Answer:
    """
    Show the page with the workspaces, or take what was decided on it.

    The query string names the app (`client_id`), where to go afterwards (`redirect_uri`, this machine only) and
    `state`. The form holds `workspace` and `decision` ("allow", which is assumed, or "cancel").

    Raises:
        ApiError: another app, an address elsewhere, or no such workspace.
    """
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    if query.get("client_id") != intercom.grants.client_id:
        raise bad_request("There is no app with this client_id")
    redirect_url = _redirect_url(intercom, query.get("redirect_uri"))
    if request.method != "POST":
        return Answer(content=_page(intercom, query["client_id"]), headers=_HEADERS)
    form = bodies.fields(request)
    state = {"state": query["state"]} if "state" in query else {}
    if form.get("decision", "allow") != "allow":
        return _redirect(redirect_url, {"error": "access_denied", **state})
    tenant = intercom.tenants.get(form.get("workspace", next(iter(intercom.tenants))))
    if tenant is None:
        raise bad_request("There is no such workspace")
    return _redirect(redirect_url, {"code": intercom.grants.code(tenant.id, tenant.workspace.region), **state})


def exchange(intercom: "Intercom", request: "Request") -> Answer:
    """
    Answer with a token for a code, once.

    Raises:
        ApiError: the code was used, never was, or is another app's.
    """
    form = bodies.fields(request)
    code, client_id, secret = (form.get(name) for name in ("code", "client_id", "client_secret"))
    token = intercom.grants.exchange(code, client_id, secret, alone=intercom.quirks.forget_tokens)
    return Answer(content={"token_type": "Bearer", "token": token, "access_token": token})


def uninstall(intercom: "Intercom", tenant: Tenant) -> Answer:
    """Remove the app from a workspace: its tokens end, and the product is told."""
    intercom.grants.revoke_workspace(tenant.id)
    intercom.later(lambda: tell_uninstalled(tenant))
    return Answer(content={})


def tell_uninstalled(tenant: Tenant) -> int | None:
    """Post the uninstall callback beside where the notifications go; returns the status, None without an answer."""
    route = tenant.engine.sender.route
    body = msgspec.json.encode({"app_id": tenant.id})
    headers = {"Content-Type": "application/json", "X-Body-Signature": sign_body(body, route.client_secret)}
    with requests.Session() as session:
        # Neither proxies nor .netrc of the environment have a say in where this goes.
        session.trust_env = False
        try:
            answer = session.post(
                f"{route.target}/uninstall", body, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False
            )
        except requests.RequestException:
            return None
    return answer.status_code


def _redirect_url(intercom: "Intercom", wanted: str | None) -> str:
    if wanted is None:
        target = next(iter(intercom.tenants.values())).engine.sender.route.target
        return f"{target.removesuffix('/webhooks/intercom')}/oauth/callback"
    try:
        return require_loopback(wanted)
    except NotLoopbackError as error:
        raise ApiError(400, "parameter_invalid", f"redirect_uri: {error}") from error


def _redirect(url: str, query: dict[str, str]) -> Answer:
    return Answer(_FOUND, None, {"Location": f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"})


def _page(intercom: "Intercom", client_id: str) -> bytes:
    workspaces = [tenant.workspace for tenant in intercom.tenants.values()]
    page = _templates.get_template("authorize.html").render(client_id=client_id, workspaces=workspaces)
    return page.encode()
