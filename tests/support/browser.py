"""A real browser, where one is installed: without a network, and noting what it asks for."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def installed() -> str:
    """Return the browser's path; without one the test says so, and fails where CI promised one."""
    found = next((path for path in map(shutil.which, _NAMES) if path), None)
    if found is None:
        reason = f"no browser is installed: none of {', '.join(_NAMES)}"
        if os.environ.get("REFACTORKIT_TEST_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Have a browser for the length of a block."""
    path = installed()
    with sync_playwright() as playwright:
        # Its sandbox does not start as root, and what is shown is our own file.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    *,
    width: int = 1280,
    scheme: Literal["light", "dark"] = "light",
    script: bool = True,
) -> Iterator[tuple[Page, list[str]]]:
    """Open a file; give the page, and every address asked for and every complaint of the page."""
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        offline=True,
        java_script_enabled=script,
    )
    noted: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: noted.append(request.url))
    page.on("console", lambda message: noted.append(message.text))
    page.on("pageerror", lambda error: noted.append(error.message))
    page.goto(file.as_uri())
    try:
        yield page, noted
    finally:
        context.close()
