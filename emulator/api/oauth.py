"""
OAuth: authorise the app, exchange the code for a token, uninstall the app.

Source:
    Intercom, "Setting up OAuth", "Installing and uninstalling apps".
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

import msgspec
import requests
from jinja2 import Environment, PackageLoader

from emulator.api.access_tokens import AccessTokens
from emulator.api.api_errors import ApiError, bad_request
from emulator.api.api_request import ApiRequest, ApiResponse
from emulator.api.behaviour_switches import BehaviourSwitches
from emulator.api.workspace_api import WorkspaceApi
from emulator.errors import NotLoopbackError
from emulator.loopback import require_loopback
from intercom_api.wire.signatures import sign_body

# How long to wait for the response to the uninstall callback.
_TIMEOUT_SECONDS = 5.0
_FOUND = 302
_PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    # There is no form-action: the form leads on to the app's redirect address, another origin on this machine.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_templates = Environment(loader=PackageLoader("emulator"), autoescape=True)


class OAuth:
    """
    The OAuth endpoints of one app.

    Args:
        access_tokens: the codes and tokens of the app.
        workspace_apis: the workspaces by id.
        switches: how the API behaves.
    """

    def __init__(
        self, access_tokens: AccessTokens, workspace_apis: Mapping[str, WorkspaceApi], switches: BehaviourSwitches
    ) -> None:
        self._access_tokens = access_tokens
        self._workspace_apis = workspace_apis
        self._switches = switches

    def authorize(self, request: ApiRequest) -> ApiResponse:
        """
        Show the page that lists the workspaces, or handle its form.

        The query string contains the app's `client_id`, the address to return to (`redirect_uri`, this machine only)
        and `state`. The form contains `workspace` and `decision` ("allow", which is the default, or "cancel").

        Raises:
            ApiError: an unknown app, a redirect address on another machine, or an unknown workspace.
        """
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        if query.get("client_id") != self._access_tokens.client_id:
            raise bad_request("There is no app with this client_id")
        redirect_url = self._redirect_url(query.get("redirect_uri"))
        if request.method != "POST":
            return ApiResponse(content=self._page(query["client_id"]), headers=_PAGE_HEADERS)
        form = request.fields()
        state = {"state": query["state"]} if "state" in query else {}
        if form.get("decision", "allow") != "allow":
            return _redirect(redirect_url, {"error": "access_denied", **state})
        api = self._workspace_apis.get(form.get("workspace", next(iter(self._workspace_apis))))
        if api is None:
            raise bad_request("There is no such workspace")
        code = self._access_tokens.new_code(api.id, api.workspace.region)
        return _redirect(redirect_url, {"code": code, **state})

    def exchange(self, request: ApiRequest) -> ApiResponse:
        """
        Exchange a code for a token, once.

        Raises:
            ApiError: the code is unknown, already used, or belongs to another app.
        """
        form = request.fields()
        code, client_id, secret = (form.get(name) for name in ("code", "client_id", "client_secret"))
        token = self._access_tokens.exchange(code, client_id, secret, revoke_earlier=self._switches.forget_tokens)
        return ApiResponse(content={"token_type": "Bearer", "token": token, "access_token": token})

    def uninstall(self, api: WorkspaceApi) -> ApiResponse:
        """Remove the app from a workspace: revoke its tokens and post the uninstall callback."""
        self._access_tokens.revoke_workspace(api.id)
        api.run_later(lambda: post_uninstalled(api))
        return ApiResponse(content={})

    def _redirect_url(self, url: str | None) -> str:
        if url is None:
            target = next(iter(self._workspace_apis.values())).simulation.sender.target.url
            return f"{target.removesuffix('/webhooks/intercom')}/oauth/callback"
        try:
            return require_loopback(url)
        except NotLoopbackError as error:
            raise ApiError(400, "parameter_invalid", f"redirect_uri: {error}") from error

    def _page(self, client_id: str) -> bytes:
        workspaces = [api.workspace for api in self._workspace_apis.values()]
        page = _templates.get_template("authorize.html").render(client_id=client_id, workspaces=workspaces)
        return page.encode()


def post_uninstalled(api: WorkspaceApi) -> int | None:
    """
    Post the uninstall callback to the path `/uninstall` under the address of the notifications.

    Returns:
        The HTTP status; None if there was no response.
    """
    target = api.simulation.sender.target
    body = msgspec.json.encode({"app_id": api.id})
    headers = {"Content-Type": "application/json", "X-Body-Signature": sign_body(body, target.client_secret)}
    with requests.Session() as session:
        # Proxies and .netrc from the environment must not redirect the request.
        session.trust_env = False
        try:
            url = f"{target.url}/uninstall"
            response = session.post(url, body, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException:
            return None
    return response.status_code


def _redirect(url: str, query: dict[str, str]) -> ApiResponse:
    return ApiResponse(_FOUND, None, {"Location": f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"})
