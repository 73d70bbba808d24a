"""
The page of the Imports tab, as an ASGI application.

The page contains no data: its script calls Airflow's public API.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.limits import IMPORT_RECORDS_PER_ACCOUNT

__all__ = ["serve_page"]

#: The scripts; each uses only those before it.
_SCRIPTS = ("requests.js", "summary.js", "elements.js", "sections.js", "page.js")


async def serve_page(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """
    Answer GET requests with the page.

    https://asgi.readthedocs.io/en/latest/specs/www.html

    :param scope: the request.
    :param receive: returns the request's body, which is not read.
    :param send: sends the answer.
    """
    if scope["type"] != "http":
        await send({"type": "websocket.close"})
        return
    # A server may or may not include the path that the application is mounted at.
    path = scope["path"].removeprefix(scope.get("root_path", "")).strip("/")
    status, headers, body = _NOT_FOUND if path else _page() if scope["method"] == "GET" else _NOT_ALLOWED
    # A new list each time, because Airflow's middleware for compression changes it in place.
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


_Answer = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]

_NOT_FOUND: _Answer = 404, ((b"content-type", b"text/plain"), (b"content-length", b"0")), b""
_NOT_ALLOWED: _Answer = 405, ((b"allow", b"GET"), (b"content-length", b"0")), b""


@cache
def _page() -> _Answer:
    style = _read("page.css")
    facts = {
        "running": sorted(statuses.IMPORT_RUNNING_STATUSES),
        "done": sorted(statuses.IMPORT_DONE_STATUSES),
        "failed": sorted(statuses.IMPORT_FAILED_STATUSES),
        "recordsPerAccount": IMPORT_RECORDS_PER_ACCOUNT,
    }
    scripts = "".join(_read(name) for name in _SCRIPTS)
    script = f'"use strict";\n{{\nconst FACTS = {json.dumps(facts)};\n{scripts}}}\n'
    body = _read("page.html").replace("/* style */", style).replace("/* script */", script).encode()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    )
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(body)),
        "content-security-policy": policy,
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return 200, tuple((name.encode(), value.encode()) for name, value in headers.items()), body


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the source expression that allows an inline script or style: https://www.w3.org/TR/CSP3/#grammardef-hash-source."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
