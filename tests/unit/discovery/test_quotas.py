from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.quotas import RecordQuota


def import_task(status: str, records: int | None = None) -> ImportTask:
    return ImportTask(import_task_id="import-task-" + 32 * "0", status=status, server_import_success=records)


@pytest.mark.parametrize(
    ("tasks", "quota"),
    [
        ([], RecordQuota(0, 0)),
        ([import_task("IMPORT_COMPLETE", 300), import_task("IMPORT_COMPLETE_WITH_ERRORS", 20)], RecordQuota(320, 0)),
        ([import_task("IMPORT_IN_PROGRESS"), import_task("IMPORT_COMPLETE", 300)], RecordQuota(300, 1)),
        ([import_task("DELETE_COMPLETE", 300), import_task("DELETE_IN_PROGRESS", 20)], RecordQuota(20, 0)),
        ([import_task("DELETE_FAILED", 300), import_task("A_NEW_STATUS", 20)], RecordQuota(320, 0)),
    ],
    ids=["no imports", "finished", "in progress", "deleted", "failed deletion and new status"],
)
def test_records_of_all_imports_but_deleted_ones_are_added_up(tasks: Any, quota: RecordQuota) -> None:
    assert RecordQuota.from_import_tasks(tasks) == quota


@pytest.mark.parametrize(
    ("quota", "rows", "has_room", "message"),
    [
        (
            RecordQuota(used=18_000, running=2),
            7_000,
            True,
            "The file's 7,000 rows need 28.0% of the account's 25,000 import records. Of these, the listed imports use "
            "18,000 (72.0%); imports in progress: 2",
        ),
        (
            RecordQuota(used=18_000, running=0),
            7_001,
            False,
            "Not enough import records are left. The file's 7,001 rows need 28.0% of the account's 25,000 import "
            "records. Of these, the listed imports use 18,000 (72.0%). Delete imports first, with "
            "AdsDeleteImportDataOperator",
        ),
        (
            RecordQuota(used=0, running=0),
            25_001,
            False,
            "Too many rows for one account. The file's 25,001 rows need 100.0% of the account's 25,000 import records. "
            "Of these, the listed imports use 0 (0.0%). Remove servers that need not be imported",
        ),
        (
            RecordQuota(used=25_000, running=0),
            None,
            True,
            "The number of rows in the file is not known. Of the account's 25,000 import records, the listed imports "
            "use 25,000 (100.0%)",
        ),
    ],
    ids=["enough", "too few left", "too many rows", "unknown number of rows"],
)
def test_the_message_reports_whether_there_is_room(
    quota: RecordQuota, rows: int | None, has_room: bool, message: str
) -> None:
    assert quota.has_room_for(rows) is has_room
    assert quota.describe(rows) == message
