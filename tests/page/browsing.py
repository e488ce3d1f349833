"""A real Chromium without a window, told what to do by selenium."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_SECONDS = 30.0
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    # CI is root in a container, which Chromium's own sandbox doesn't know how to live in.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # It shall speak to the server alone.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1360,1100",
)


class Browser:
    """Waits for what it is asked for, and remembers all requests."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.requested: list[str] = []

    def open(self, url: str, scheme: str = "light") -> None:
        """Open a page as somebody sees it who likes `scheme`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(url)

    def text(self, element_id: str) -> str:
        """What an element shows."""
        return self.driver.find_element(By.ID, element_id).text

    def until(self, holds: Callable[[], bool]) -> None:
        """Return once it holds."""
        WebDriverWait(self.driver, PATIENCE_SECONDS, 0.1).until(lambda _: holds())

    def until_text(self, element_id: str, part: str) -> None:
        """Return once an element's text has `part`."""
        self.until(lambda: part in self.text(element_id))

    def adapters(self) -> list[str]:
        """The ids in the table that can be seen, from the top."""
        script = (
            "return [...document.querySelectorAll('#adapters tbody tr:not([hidden]) .id')].map((e) => e.textContent)"
        )
        names: list[str] = self.driver.execute_script(script)
        return names

    def figure(self, name: str) -> float:
        """One of the large figures at the top."""
        script = """
          const terms = [...document.querySelectorAll("#figures dt")];
          return terms.find((term) => term.textContent === arguments[0]).nextElementSibling.firstChild.textContent;
        """
        return float(self.driver.execute_script(script, name))

    def strip(self) -> str:
        """The moving strip, as it is drawn now."""
        picture: str = self.driver.execute_script("return document.getElementById('strip').toDataURL()")
        return picture

    def chart(self) -> str:
        """The chart of rows per second, which is drawn anew each second."""
        picture: str = self.driver.execute_script("return document.querySelector('#throughput canvas').toDataURL()")
        return picture

    def num_colours(self) -> int:
        """Different colours in the strip."""
        script = """
          const canvas = document.getElementById("strip");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const pixels = new Uint32Array(data.buffer);
          return new Set(pixels).size;
        """
        return int(self.driver.execute_script(script))

    def complaints(self) -> list[str]:
        """What the console said since the last time: errors, warnings, breaches of the policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def urls(self) -> set[str]:
        """All that was asked for since the last time, of any host."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        # Not those within the browser, such as for its own first page.
        return {url for url in sent if url.startswith(("http", "ws"))}


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """Run a browser with an empty profile. Without one the test is skipped; in CI it fails."""
    binary = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver_path = shutil.which("chromedriver")
    if binary is None or driver_path is None:
        _refuse("no Chromium with its driver here: run `make browser` as root, which installs them by apt")
    options = webdriver.ChromeOptions()
    options.binary_location = str(binary)
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    try:
        driver.set_page_load_timeout(PATIENCE_SECONDS)
        driver.set_script_timeout(PATIENCE_SECONDS)
        yield Browser(driver)
    finally:
        driver.quit()


def _refuse(text: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)
