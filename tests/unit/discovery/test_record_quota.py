from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.record_quota import RecordQuota


def import_task(status: str, records: int | None = None) -> ImportTask:
    return ImportTask(import_task_id="import-task-" + 32 * "0", status=status, server_import_success=records)


@pytest.mark.parametrize(
    ("tasks", "quota"),
    [
        ([], RecordQuota(0, 0)),
        ([import_task("IMPORT_COMPLETE", 300), import_task("IMPORT_COMPLETE_WITH_ERRORS", 20)], RecordQuota(320, 0)),
        ([import_task("IMPORT_IN_PROGRESS"), import_task("IMPORT_COMPLETE", 300)], RecordQuota(300, 1)),
        ([import_task("DELETE_COMPLETE", 300), import_task("DELETE_IN_PROGRESS", 20)], RecordQuota(20, 0)),
        ([import_task("DELETE_FAILED", 300), import_task("A_STATUS_OF_TOMORROW", 20)], RecordQuota(320, 0)),
    ],
    ids=["no imports", "finished", "in progress", "deleted", "deleted in vain, and unknown"],
)
def test_what_the_imports_use(tasks: Any, quota: RecordQuota) -> None:
    assert RecordQuota.of(tasks) == quota


def test_room_for_all() -> None:
    quota = RecordQuota(used=18_000, running=2)
    assert quota.has_room_for(7_000)
    assert quota.describe(7_000) == (
        "Of the account's 25,000 import records, the imports that are listed hold 18,000 (72.0%), and 2 more are in "
        "progress. The file's 7,000 rows will use 28.0%"
    )


@pytest.mark.parametrize(
    ("rows", "next_step"),
    [
        (7_001, "There is no room for both: delete imports first, with AdsDeleteImportDataOperator"),
        (25_001, "They are too many for one account: leave out servers that need not be imported"),
    ],
)
def test_too_little_room(rows: int, next_step: str) -> None:
    quota = RecordQuota(used=18_000, running=0)
    assert not quota.has_room_for(rows)
    assert quota.describe(rows).endswith(next_step)


def test_an_unknown_number_of_rows() -> None:
    quota = RecordQuota(used=25_000, running=0)
    assert quota.has_room_for(None)
    assert quota.describe(None).endswith("hold 25,000 (100.0%). How many the file will use is not known")
