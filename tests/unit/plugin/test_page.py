from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.plugin import page


def send_request(scope: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages that answer a request."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> None:
        raise AssertionError("The page needs no body")

    anyio.run(page.serve_page, scope, receive, send)
    return sent


def request(
    method: str = "GET", path: str = "/ads-imports/", root_path: str = "/ads-imports"
) -> tuple[dict[str, Any], str]:
    """Send a request to the mounted application; return the beginning of the answer and its body."""
    start, body = send_request({"type": "http", "method": method, "path": path, "root_path": root_path})
    return start, body["body"].decode()


def headers() -> dict[str, str]:
    start, _ = request()
    return {name.decode(): value.decode() for name, value in start["headers"]}


def policy() -> dict[str, str]:
    """The directives of the page's content security policy."""
    directives = headers()["content-security-policy"].split("; ")
    return {name: sources for name, _, sources in (directive.partition(" ") for directive in directives)}


def inline(tag: str) -> str:
    """The text of the page's only element with this tag, as a browser reads it."""
    _, body = request()
    (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", body, re.DOTALL)
    return str(text)


def test_the_page_is_html_of_the_length_that_the_headers_state() -> None:
    start, body = request()
    assert start["status"] == 200
    assert body.startswith("<!doctype html>")
    assert headers()["content-type"] == "text/html; charset=utf-8"
    assert headers()["content-length"] == str(len(body.encode()))


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/", ""), ("", ""), ("/", "/base/ads-imports"), ("/base/ads-imports/", "/base/ads-imports")],
)
def test_the_page_is_at_the_root_of_the_application(path: str, root_path: str) -> None:
    start, _ = request(path=path, root_path=root_path)
    assert start["status"] == 200


def test_any_other_path_is_not_found() -> None:
    start, body = request(path="/ads-imports/page.js")
    assert (start["status"], body) == (404, "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_only_get_is_allowed(method: str) -> None:
    start, body = request(method)
    assert (start["status"], body) == (405, "")
    assert (b"allow", b"GET") in start["headers"]


def test_each_answer_has_a_list_of_headers_of_its_own() -> None:
    # Airflow's middleware for compression changes the list in place.
    first, _ = request()
    first["headers"].clear()
    assert headers()["content-type"]


def test_websockets_are_closed() -> None:
    assert send_request({"type": "websocket", "path": "/ads-imports/"}) == [{"type": "websocket.close"}]


def test_the_policy_allows_the_script_the_style_and_airflow_and_nothing_else() -> None:
    def source(tag: str) -> str:
        return f"'sha256-{b64encode(sha256(inline(tag).encode()).digest()).decode()}'"

    assert policy() == {
        "default-src": "'none'",
        "script-src": source("script"),
        "style-src": source("style"),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
    }


def test_the_page_has_no_attribute_that_the_policy_forbids() -> None:
    _, body = request()
    tags = re.findall(r"<(?!!)[a-z][^>]*>", body.replace(inline("script"), "").replace(inline("style"), ""))
    assert [tag for tag in tags if re.search(r"\b(on[a-z]+|style|src|href)=", tag)] == []


@pytest.mark.parametrize(
    "forbidden",
    ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval", "Function(", ".href", ".src"],
)
def test_the_script_makes_no_markup_code_or_links_of_data(forbidden: str) -> None:
    assert forbidden not in inline("script")


def test_the_script_knows_the_statuses_of_imports() -> None:
    (facts,) = re.findall(r"const FACTS = ({.*});", inline("script"))
    facts = json.loads(facts)
    assert {*facts["running"], *facts["done"], *facts["failed"]} == (
        statuses.IMPORT_RUNNING_STATUSES | statuses.IMPORT_DONE_STATUSES | statuses.IMPORT_FAILED_STATUSES
    )
    assert facts["recordsPerAccount"] == 25_000


def test_all_files_of_the_page_are_in_it() -> None:
    folder = Path(page.__file__).parent
    _, body = request()
    assert [path.name for path in folder.glob("*.[jc]s*") if path.read_text() not in body] == []
