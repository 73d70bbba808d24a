"""Chromium without a window, from Debian's packages ``chromium`` and ``chromium-driver``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

__all__ = ["open_browser", "requested_urls"]


@contextmanager
def open_browser() -> Iterator[Chrome]:
    """
    Run Chromium with a window of 1440 by 900 pixels.

    :raises RuntimeError: it is not installed.
    """
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    if missing:
        raise RuntimeError(f"{' and '.join(missing)} not found: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    # Chromium's own sandbox does not work for root, nor /dev/shm in small containers.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en"):
        options.add_argument(argument)
    options.add_argument("--window-size=1440,900")
    options.binary_location = str(shutil.which("chromium"))
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chrome = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield chrome
    finally:
        chrome.quit()


def requested_urls(chrome: Chrome) -> list[str]:
    """Return the URLs of all requests since the last call."""
    logs: list[dict[str, Any]] = chrome.get_log("performance")  # type: ignore[no-untyped-call]
    events = [json.loads(entry["message"])["message"] for entry in logs]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
