"""An emulator that remembers who called it, and the names that processes have for Airflow and for AWS."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from threading import Lock
from typing import Any

from airflow_provider_ads.emulator import AdsEmulator

__all__ = ["Account", "component"]


def component() -> str:
    """The component of Airflow that this process belongs to, which takes it for the name of its machine."""
    return os.environ.get("AWS_SDK_UA_APP_ID", "none")


class Account(AdsEmulator):
    """
    The emulator, and who called it.

    :ivar callers: how often each component of Airflow has called each operation.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.callers: Counter[tuple[str, str]] = Counter()
        self._callers_lock = Lock()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if caller := re.search(r"\bapp/(\S+)", environ.get("HTTP_USER_AGENT", "")):
            with self._callers_lock:
                self.callers[caller[1], operation] += 1
        return super()._answer(environ, start_response)
