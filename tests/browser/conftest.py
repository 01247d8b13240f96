"""A real Chromium. Without one the tests fail and say what to install; nothing is skipped."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

# Distributions use different names.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# No network traffic except that of the pages, and no graphics card.
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Milliseconds until an element counts as missing; long, for busy machines.
_PATIENCE = 20_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests, with a new profile."""
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    assert path, "There is no Chromium on this machine; install it (Debian: apt-get install chromium)."
    # Chromium's sandbox refuses to run as root.
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else [*_FLAGS]
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=flags) as running:
        yield running


@pytest.fixture(params=[1280, 390], ids=["desktop", "phone"])
def window(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty window in desktop and in phone width; an error in a page's script fails the test."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # Chromium reports a page with a status such as 403 as an error too, and a refused call of a script. Everything
        # that a page loads must exist.
        url = message.location["url"]
        if message.type == "error" and url != page.url and "/api/" not in url:
            errors.append(message.text)

    with browser.new_context(viewport={"width": request.param, "height": 844}) as context:
        page = context.new_page()
        page.set_default_timeout(_PATIENCE)
        expect.set_options(timeout=_PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", note)
        yield page
    assert errors == []
