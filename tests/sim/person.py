"""Somebody who sits before a page: looks at it, points, types and waits, while it renews itself under their hands.

Every look goes through `until`, which takes an element that was replaced meanwhile as not there yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tests.sim.page_server import PageServer
from tests.sim.screenshots import sign_in

SECONDS = 30
T = TypeVar("T")


def until(browser: Any, condition: Callable[[], T]) -> T:
    """What `condition` gives once it gives something; elements may be replaced under it."""
    from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    passing = [StaleElementReferenceException, ElementClickInterceptedException]
    waiting = WebDriverWait(browser, SECONDS, 0.1, ignored_exceptions=passing)
    found: T = waiting.until(lambda _browser: condition())
    return found


def complaints(browser: Any) -> list[str]:
    """What the console holds that is worse than a notice."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


class Person:
    """Somebody who is signed in."""

    def __init__(self, browser: Any, server: PageServer) -> None:
        self.browser = browser
        self.server = server
        sign_in(browser, server)

    def open(self, path: str) -> None:
        self.browser.get(self.server.url + path)
        self.until(lambda: self.find("#link[data-is=live]"))

    def until(self, condition: Callable[[], T]) -> T:
        return until(self.browser, condition)

    def find(self, selector: str) -> Any:
        """The first element as it is now, or None; for use inside `until`."""
        found = self.browser.find_elements("css selector", selector)
        return found[0] if found else None

    def shown(self, selector: str) -> Any:
        found = self.find(selector)
        return found if found and found.is_displayed() else None

    def text(self, selector: str = "main") -> str:
        """What is read there now; empty while there is nothing."""
        return str(self.until(lambda: (self.find(selector).text,) if self.find(selector) else ("",))[0])

    def texts(self, selector: str) -> list[str]:
        found: tuple[list[str]] = self.until(
            lambda: ([each.text for each in self.browser.find_elements("css selector", selector)],)
        )
        return found[0]

    def of(self, selector: str, attribute: str) -> str:
        """An attribute or property of an element, once it is there."""
        return str(self.until(lambda: (found := self.find(selector)) and (found.get_attribute(attribute),))[0])

    def can_use(self, selector: str) -> bool:
        return bool(self.until(lambda: (found := self.find(selector)) and (found.is_enabled(),))[0])

    def click(self, selector: str) -> None:
        self._do(selector, lambda found: found.click())

    def point(self, selector: str) -> None:
        """With a mouse, at the middle of it."""
        from selenium.webdriver import ActionChains

        self._do(selector, lambda found: ActionChains(self.browser).move_to_element(found).perform())

    def type(self, selector: str, *keys: str) -> None:
        """In place of what stood there."""
        self._do(selector, lambda found: (found.clear(), found.send_keys(*keys)))

    def press(self, selector: str, *keys: str) -> None:
        """Keys to an element, shown or not: a file picker is not."""
        self.until(lambda: (found := self.find(selector)) and (found.send_keys(*keys) or True))

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        self._do(selector, lambda found: Select(found).select_by_value(value))

    def complaints(self) -> list[str]:
        return complaints(self.browser)

    def _do(self, selector: str, act: Callable[[Any], object]) -> None:
        self.until(lambda: (found := self.shown(selector)) and (act(found) or True))
