"""The imports of the distributed run, as its Dags start them and as its tests expect them to end."""

from __future__ import annotations

import os
from typing import NamedTuple

from tests.resilience.parameters import IMPORTS

__all__ = ["ACCOUNTS", "CONTENTS", "POLL_INTERVAL", "Import", "component", "imports_of"]

#: Each account has a Dag, a connection and an emulator.
ACCOUNTS = ("retail", "logistics", "finance")

#: Seconds between two polls of an import.
POLL_INTERVAL = 10

#: A file for each final status.
CONTENTS = {
    "IMPORT_COMPLETE": "ExternalId,HostName\n1,a.example\n",
    "IMPORT_COMPLETE_WITH_ERRORS": "ExternalId,HostName,OS.Name\n1,a.example,Linux\n,,Linux\n",
}


class Import(NamedTuple):
    """
    An import.

    :param account: its account, which is also the id of its Dag.
    :param map_index: the map index of its task.
    """

    account: str
    map_index: int

    @property
    def name(self) -> str:
        """The name that the Dag gives it."""
        return f"{self.account} {self.map_index}"

    @property
    def status(self) -> str:
        """The status that it is expected to end with."""
        return "IMPORT_COMPLETE_WITH_ERRORS" if self.map_index % 10 == 3 else "IMPORT_COMPLETE"

    @property
    def import_url(self) -> str:
        """The URL of its file."""
        return f"s3://inventory/{self.account}/{self.map_index}.csv"


def imports_of(account: str) -> list[Import]:
    """Return the imports of an account."""
    return [Import(account, index) for index in range(len(range(ACCOUNTS.index(account), IMPORTS, len(ACCOUNTS))))]


def component() -> str:
    """Return the name of the component that this process belongs to; Airflow uses it as the host name."""
    return os.environ.get("AWS_SDK_UA_APP_ID", "none")
