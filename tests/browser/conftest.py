"""A real Chromium. Without one the tests fail and say what to install; nothing is skipped."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

# Distributions call it by different names.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# No talk with the network beside our own pages, and no need of a graphics card.
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Milliseconds until something that does not show up counts as missing; long, for machines that do much else.
_PATIENCE = 20_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests, with a fresh profile."""
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    assert path, "There is no Chromium on this machine; install it (Debian: apt-get install chromium)."
    # Chromium's sandbox refuses to run as root.
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else [*_FLAGS]
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=flags) as running:
        yield running


@pytest.fixture(params=[1280, 390], ids=["desktop", "phone"])
def window(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty window, on a desk and on a phone; an error in a page's script fails the test."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # A page that is itself an answer such as 403 is told as an error too, and so is a call that a script sees
        # refused; what a page loads must be there.
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
