"""Debian's Chromium without a screen, driven through chromedriver as a user's hands and eyes."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

from support.coordinator_process import wait_for

SECONDS = 30  # for something to show
WIDTH, HEIGHT = 1180, 900
_ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--disable-background-networking", "--force-color-profile=srgb", "--lang=en-GB"),
)


class Browser:
    """One tab. Nothing waits for a fixed time: `shows` and `until` look until it is so."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        """As a new visitor would, not as one who goes on to another view of the page."""
        self._driver.get("about:blank")
        self._driver.get(url)

    def look(self, *, width: int = WIDTH, height: int = HEIGHT, dark: bool = False) -> None:
        """Through a window of this size, in pixels, and in this theme."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})

    def evaluate(self, script: str, *arguments: object) -> Any:
        """What a function with this body returns in the page."""
        return self._driver.execute_script(script, *arguments)

    def text(self, selector: str = "main") -> str:
        """What can be read there now; empty where nothing is like that."""
        return str(self.evaluate("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def shows(self, words: str, selector: str = "main") -> None:
        """Wait until it can be read there."""
        seen = ""

        def there() -> bool:
            nonlocal seen
            seen = self.text(selector)
            return words in seen

        try:
            wait_for(there, f"{words!r} in {selector}", SECONDS)
        except pytest.fail.Exception:
            pytest.fail(f"waited {SECONDS} s for {words!r} in {selector}, which shows:\n{seen}")

    def until(self, script: str, what: str) -> None:
        """Wait until the expression holds in the page."""
        wait_for(lambda: self.evaluate(f"return Boolean({script})"), what, SECONDS)

    def click(self, selector: str) -> None:
        self._driver.find_element("css selector", selector).click()

    def press(self, *keys: str) -> None:
        """On the keyboard, wherever the focus is."""
        ActionChains(self._driver).send_keys(*keys).perform()

    @property
    def place(self) -> str:
        """What stands behind the address: the view."""
        return str(self.evaluate("return location.hash"))

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last call."""
        told = (json.loads(entry["message"])["message"] for entry in self._driver.get_log("performance"))
        return [each["params"]["request"]["url"] for each in told if each["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """What the browser's console has said since the last call: errors of scripts, breaches of the policy."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def picture(self, path: Path, *, width: int = WIDTH, dark: bool = False, most_px: int = 1600) -> None:
        """The whole page as a PNG, no higher than `most_px`."""
        self.look(width=width, dark=dark)
        height = min(most_px, self.evaluate("return document.documentElement.scrollHeight"))
        self.look(width=width, height=height, dark=dark)
        self.evaluate("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert self._driver.save_screenshot(str(path))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Skips the test where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = program
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        browser = Browser(started)
        browser.look()
        yield browser
    finally:
        started.quit()
