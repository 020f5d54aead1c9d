"""The browser of the tests: Debian's Chromium, else the one that Playwright keeps; and pages that tell of every error.

Law: an uncaught error, an error on the console and a breach of the content policy fail the test that saw them, unless
it said that it expects them.
"""

import contextlib
import functools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

WAIT_MILLISECONDS = 30_000


@functools.cache
def executable() -> str | None:
    """Where a Chromium is, if there is one."""
    if found := shutil.which("chromium"):
        return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


@contextlib.contextmanager
def running() -> Iterator[Browser]:
    """A browser of the test's own. Root may not have its sandbox."""
    path = executable()
    assert path is not None, "expected Chromium, found none; on Debian: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass(slots=True)
class Errors:
    """What pages complained of; ``expect`` takes out what a test provokes on purpose."""

    found: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Listen to all pages of a context, those to come too."""
        context.on("weberror", lambda error: self.found.append(f"uncaught: {error.error}"))
        context.on("console", lambda message: self.found.extend(_complaints(message)))

    def expect(self, words: str) -> None:
        """There was such a complaint, and it is none."""
        told = [complaint for complaint in self.found if words in complaint]
        assert told, f"expected {words!r} among {self.found}"
        self.found = [complaint for complaint in self.found if words not in complaint]


def _complaints(message: ConsoleMessage) -> list[str]:
    if message.type != "error" and "Content Security Policy" not in message.text:
        return []
    return [f"{message.type}: {message.text} ({message.location.get('url', '')})"]


@contextlib.contextmanager
def person(browser: Browser, *, scripts: bool = True) -> Iterator[tuple[Page, Errors]]:
    """A page with cookies of its own, and what it complained of; complaints that are left fail the test."""
    context = browser.new_context(java_script_enabled=scripts, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MILLISECONDS)
    errors = Errors()
    errors.watch(context)
    try:
        yield context.new_page(), errors
        assert not errors.found, errors.found
    finally:
        context.close()
