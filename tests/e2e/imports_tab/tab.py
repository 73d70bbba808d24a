"""The page of the Imports tab in a browser."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

__all__ = ["HOSTILE", "Tab"]

#: A name that a page could mistake for markup.
HOSTILE = '<img src=x onerror="window.hacked=1">'


class Tab:
    """
    The page, opened without Airflow's UI around it unless a test says otherwise.

    :param chrome: the browser.
    :param airflow_url: Airflow's address, with its base path.
    """

    def __init__(self, chrome: Chrome, airflow_url: str) -> None:
        self.chrome = chrome
        self.airflow_url = airflow_url

    def open(self, **address: str | int) -> None:
        """
        Open the page and wait until it has loaded its data.

        :param address: the ids, such as ``dag_id`` and ``run_id``.
        """
        # A page of which only the fragment changes is not loaded again.
        self.chrome.get("about:blank")
        fragment = urllib.parse.urlencode(address, quote_via=urllib.parse.quote)
        self.chrome.get(f"{self.airflow_url}/ads-imports/#{fragment}")
        self.wait_until_loaded()

    def open_in_airflow(self, path: str) -> None:
        """Open a page of Airflow's UI, select its tab Imports, and wait until the tab has loaded its data."""
        self.chrome.get(f"{self.airflow_url}{path}")
        self.wait_for(lambda: self.chrome.find_elements(By.LINK_TEXT, "Imports"))[0].click()
        self.chrome.switch_to.frame(self.wait_for(lambda: self.elements("iframe"))[0])
        self.wait_until_loaded()

    def wait_until_loaded(self) -> None:
        """Wait until the page shows data, or the reason why it cannot."""
        self.wait_for(lambda: bool(self.elements("#page[aria-busy=false] h1")))

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition is true, and return its value."""
        ignored = [StaleElementReferenceException, LookupError]
        return WebDriverWait(self.chrome, 240, 0.1, [*ignored]).until(lambda _: condition())

    def elements(self, selector: str) -> list[WebElement]:
        """Return the elements that match a CSS selector."""
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that match a CSS selector."""
        return [element.text for element in self.elements(selector)]

    @property
    def text(self) -> str:
        """The text of the page."""
        return str(self.elements("#page")[0].text)

    @property
    def heading(self) -> str:
        """The sum, or the title of a page without data."""
        return str(self.elements("h1")[0].text)

    @property
    def terms(self) -> dict[str, int]:
        """The terms of the sum by their names, and all rows."""
        words = [text.replace(",", "").partition(" ") for text in self.texts("h1 .term")]
        return {name: int(number) for number, _, name in words}

    @property
    def imports(self) -> list[list[str]]:
        """The cells of the table of imports, without those of the totals."""
        rows = self.elements("table.imports tbody tr")
        return [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in rows]
