"""What is imported, and how each import is to end: known to the Dags and to the tests."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = [
    "ACCOUNTS",
    "CONTENTS",
    "IMPORTS",
    "POLL_INTERVAL",
    "START",
    "START_AND_WAIT",
    "WAIT",
    "Import",
    "imports_of",
]

#: Each has a Dag, a connection and an emulator.
ACCOUNTS = ("retail", "logistics", "finance")

IMPORTS = int(os.environ.get("DISTRIBUTED_IMPORTS", "90"))

#: Seconds between two looks at an import.
POLL_INTERVAL = 10

#: The tasks: of three imports, two are started and waited for by one task, one by two.
START_AND_WAIT, START, WAIT = "start_and_wait", "start", "wait"

#: A file for each way to end.
CONTENTS = {
    "IMPORT_COMPLETE": "ExternalId,HostName\n1,a.example\n",
    "IMPORT_COMPLETE_WITH_ERRORS": "ExternalId,HostName,OS.Name\n1,a.example,Linux\n,,Linux\n",
    "IMPORT_FAILED": "ExternalId,HostName,OS.Name\n,,Linux\n",
}


class Import(NamedTuple):
    """
    One import that is wanted.

    :param account: whose it is.
    :param task_id: the task that starts it.
    :param map_index: which of the mapped ones.
    """

    account: str
    task_id: str
    map_index: int

    @property
    def name(self) -> str:
        """What the Dag calls it."""
        return f"{self.account} {self.task_id} {self.map_index}"

    @property
    def status(self) -> str:
        """How it is to end."""
        if self.map_index % 10 == 3:
            return "IMPORT_COMPLETE_WITH_ERRORS"
        # A task that starts and waits would follow it with another import, as long as it has retries.
        if self.map_index % 10 == 7 and self.task_id == START:
            return "IMPORT_FAILED"
        return "IMPORT_COMPLETE"

    @property
    def import_url(self) -> str:
        """Its file."""
        return f"s3://inventory/{self.account}/{self.task_id}/{self.map_index}.csv"


def imports_of(account: str, task_id: str) -> list[Import]:
    """The imports that the mapped tasks of a Dag start."""
    of_account = len(range(ACCOUNTS.index(account), IMPORTS, len(ACCOUNTS)))
    apart = of_account // 3
    return [Import(account, task_id, index) for index in range(apart if task_id == START else of_account - apart)]
