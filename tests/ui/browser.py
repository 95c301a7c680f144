"""Headless Chromium, as Debian packages it, driven by Selenium: nothing is downloaded."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

SECONDS = 120
"""How long a page may take to show something, on a busy machine with two cores."""

_SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # root, as in a container, has none
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's is small
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_SEEN = """
const element = arguments[0];
element.scrollIntoView({block: 'center'});
return true;
"""

T = TypeVar("T")


def missing() -> str | None:
    """What there is not of what a browser takes; None: nothing."""
    if find_spec("selenium") is None:
        return "needs Selenium: pip install 'plumbline[browser]'"
    if shutil.which("chromedriver") is None or not _chromium():
        return "needs a browser: apt-get install chromium chromium-driver"
    return None


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("google-chrome")


class Browser:
    """One window. What is looked for is waited for: `SECONDS`, and no longer."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Load `url` anew: a change of the part after # alone would not."""
        self.driver.get("about:blank")
        self.driver.get(url)

    def see(self, css: str, text: str = "") -> Any:
        """The first visible element of `css` that holds `text`, once there is one."""
        found = self.until(lambda: self._visible(css, text), f"{css} with {text!r}")
        self.driver.execute_script(_SEEN, found)
        return found

    def until(self, condition: Callable[[], T], what: str) -> T:
        """What `condition` gives, once that is true. The page may change under its hands."""
        from selenium.common.exceptions import (
            JavascriptException,
            StaleElementReferenceException,
            TimeoutException,
        )
        from selenium.webdriver.support.ui import WebDriverWait

        ignored = (StaleElementReferenceException, JavascriptException)
        try:
            return WebDriverWait(self.driver, SECONDS, 0.2, ignored).until(lambda _: condition())
        except TimeoutException:
            text = self.text("body")[:3000]
            raise AssertionError(f"{self.driver.current_url}: no {what} in:\n{text}") from None

    def text(self, css: str) -> str:
        """All text that elements of `css` show."""
        from selenium.webdriver.common.by import By

        return "\n".join(each.text for each in self.driver.find_elements(By.CSS_SELECTOR, css))

    def js(self, script: str, *arguments: object) -> Any:
        """What `script` returns in the page."""
        return self.driver.execute_script(script, *arguments)

    def logged(self, kind: str) -> list[dict[str, Any]]:
        """What the browser has logged since it was asked last. `kind`: `browser` or `performance`."""
        return list(self.driver.get_log(kind))

    def _visible(self, css: str, text: str) -> Any:
        from selenium.webdriver.common.by import By

        for element in self.driver.find_elements(By.CSS_SELECTOR, css):
            if element.is_displayed() and text in element.text:
                return element
        return None


@contextmanager
def browser(width: int = 1440, height: int = 1000) -> Iterator[Browser]:
    """A window of its own, with nothing remembered from another."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = _chromium() or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for switch in (*_SWITCHES, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(switch)
        service = Service(shutil.which("chromedriver"))  # named: Selenium would look for one online
        driver = webdriver.Chrome(options=options, service=service)
        driver.set_page_load_timeout(SECONDS)
        driver.set_script_timeout(SECONDS)
        try:
            yield Browser(driver)
        finally:
            driver.quit()
