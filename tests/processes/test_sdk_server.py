"""The real web process serves pages of other origins."""

from pathlib import Path

import pytest

from tests.web_process import running

ORIGIN = "https://app.example.com"


def test_a_page_of_a_listed_origin_is_allowed(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The preflight, the SDK, a readable refusal, and the OpenAPI document."""
    monkeypatch.setenv("ALLOWED_ORIGINS", ORIGIN)
    with running(tmp_path, redis_url) as web:
        caller = f"Host: localhost\r\nOrigin: {ORIGIN}\r\n"
        preflight = web.ask(
            f"OPTIONS /api/proxy/contacts HTTP/1.1\r\n{caller}Access-Control-Request-Method: POST\r\n\r\n".encode()
        )
        assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (204, ORIGIN)
        module = web.ask(f"GET /sdk.js HTTP/1.1\r\n{caller}\r\n".encode())
        assert (module.status, module.headers["access-control-allow-origin"]) == (200, ORIGIN)
        assert "export function authenticate" in module.body
        refused = web.ask(f"GET /api/connections HTTP/1.1\r\n{caller}\r\n".encode())
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
        assert '"openapi":"3.1.0"' in web.get("/openapi.json").body.replace(" ", "")
        assert "/api/actions/create-contact" in web.get("/docs").body
