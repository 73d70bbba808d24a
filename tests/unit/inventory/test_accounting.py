from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.inventory.accounting import account_for_rows


def report(rows_read: int | None, quarantined: int | None = 0, **filtered: int) -> dict[str, Any]:
    return {"rows_read": rows_read, "rows_quarantined": quarantined, "rows_filtered": filtered}


def summary(imported: int | None, failed: int | None, status: str = "IMPORT_COMPLETE", **fields: Any) -> dict[str, Any]:
    return ImportTask(
        import_task_id="import-task-1",
        name="part 1",
        status=status,
        server_import_success=imported,
        server_import_failure=failed,
        **fields,
    ).summary()


@pytest.mark.parametrize(
    ("prepared", "imports", "text"),
    [
        (report(6), summary(6, 0), "6 rows = 6 imported + 0 failed"),
        (
            report(6_000, 12, status=100, kind=20),
            [summary(3_000, 2), summary(2_863, 3)],
            "6,000 rows = 5,863 imported + 5 failed + 12 quarantined + 120 filtered",
        ),
        (report(6), summary(4, 1), "6 rows = 4 imported + 1 failed + 1 unaccounted"),
        (report(6), summary(7, 0), "6 rows = 7 imported + 0 failed - 1 unaccounted"),
        (
            report(6, 1),
            [summary(3, 0), summary(0, 0, "IMPORT_IN_PROGRESS")],
            "6 rows = 3 imported + 0 failed + 1 quarantined + 2 in progress\nIMPORT_IN_PROGRESS: part 1",
        ),
        ({"rows_read": 6, "rows_quarantined": 1}, summary(5, 0), "6 rows = 5 imported + 0 failed + 1 quarantined"),
        (report(6, 2), None, "6 rows = 0 imported + 0 failed + 2 quarantined + 4 unaccounted"),
        (
            report(6),
            [summary(3, 0), summary(None, None, "IMPORT_FAILED")],
            "6 rows = 3 imported + 0 failed + 3 unaccounted\nIMPORT_FAILED: part 1",
        ),
        (
            report(6),
            summary(6, 0, application_import_success=2, application_import_failure=1),
            "6 rows = 6 imported + 0 failed\n2 applications imported, 1 failed",
        ),
        (
            report(None, None),
            summary(40, 0),
            "40 imported, 0 failed. The source was imported unchanged, so no rows were counted",
        ),
        (None, None, "0 imported, 0 failed. There is no report on the rows"),
        (report(6), [None, summary(6, 0)], "6 rows = 6 imported + 0 failed"),
        (
            report(6),
            [{"importTaskId": "import-task-1"}],
            "6 rows = 0 imported + 0 failed + 6 unaccounted\nnot listed: import-task-1",
        ),
    ],
    ids=[
        "one import",
        "several imports",
        "a difference",
        "too many",
        "an import in progress",
        "a report of version 0.1.0",
        "no import",
        "a failed import",
        "applications",
        "RVTools export",
        "nothing",
        "a mapped task that started no import",
        "an import that is not listed",
    ],
)
def test_every_row_is_in_the_sum(prepared: Any, imports: Any, text: str) -> None:
    assert account_for_rows(prepared, imports) == text


@pytest.mark.parametrize(
    ("prepared", "imports", "problem"),
    [
        ([report(6)], summary(6, 0), "report must be the XCom 'report' of one task, or None; got [{'rows_read'"),
        (report(6), "import-task-1", "import_tasks must be the XCom 'import_task', a summary or a list of summaries; "),
        (report(6), 5, "list of summaries; got an object of type int without importTaskId"),
        (report(6), ["import-task-1"], "list of summaries; got an object of type str without importTaskId"),
        (report(6), [[summary(6, 0)]], "list of summaries; got an object of type list without importTaskId"),
        (report(6), {"name": "part 1"}, "list of summaries; got an object of type dict without importTaskId"),
    ],
    ids=["several reports", "an id", "a number", "a list of ids", "a list of lists", "another dictionary"],
)
def test_other_xcoms_are_refused(prepared: Any, imports: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        account_for_rows(prepared, imports)
