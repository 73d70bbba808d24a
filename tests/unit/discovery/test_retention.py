from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.retention import reasons_against, superseded_imports

IDS = count()
NEW_REQUESTED = datetime(2026, 1, 2, tzinfo=UTC)


def task(status: str = "IMPORT_COMPLETE", name: str = "cmdb-1", hours: float | None = -1, **fields: Any) -> ImportTask:
    """Return an import that was requested some hours after the new one."""
    requested = None if hours is None else NEW_REQUESTED + timedelta(hours=hours)
    fields = {"name": name, "status": status, "import_request_time": requested, **fields}
    return ImportTask(import_task_id=f"import-task-{next(IDS):032x}", **fields)


NEW = task(hours=0)


class TestReasonsAgainst:
    def test_there_are_none_if_all_imports_succeeded(self) -> None:
        assert reasons_against([NEW, task(name="cmdb-2")], "cmdb-", allow_failed_records=False) == []

    def test_an_import_of_another_series(self) -> None:
        (reason,) = reasons_against([NEW, task(name="dmz-1")], "cmdb-", allow_failed_records=True)
        assert "name does not start with name_prefix='cmdb-'" in reason

    @pytest.mark.parametrize("status", ["IMPORT_FAILED", "IMPORT_IN_PROGRESS", "DELETE_COMPLETE", "NEW", None])
    def test_an_import_that_did_not_succeed(self, status: Any) -> None:
        (reason,) = reasons_against([NEW, task(status)], "cmdb-", allow_failed_records=True)
        assert "only complete copy" in reason

    @pytest.mark.parametrize("failed", [{"server_import_failure": 1}, {"status": "IMPORT_COMPLETE_WITH_ERRORS"}])
    def test_failed_records_unless_they_are_allowed(self, failed: Any) -> None:
        bad = task(**failed)
        (reason,) = reasons_against([NEW, bad], "cmdb-", allow_failed_records=False)
        assert bad.import_task_id in reason
        assert "allow_failed_records=True" in reason
        assert reasons_against([NEW, bad], "cmdb-", allow_failed_records=True) == []

    def test_an_import_without_a_request_time(self) -> None:
        (reason,) = reasons_against([task(hours=None)], "cmdb-", allow_failed_records=False)
        assert "did not return its request time" in reason


class TestSupersededImports:
    def test_imports_older_than_every_new_one_are_superseded_in_order(self) -> None:
        older, oldest, between, later = task(hours=-1), task(hours=-2), task(hours=0.5), task(hours=2)
        second = task(hours=1)
        superseded = superseded_imports([later, older, NEW, between, second, oldest], [second, NEW])
        assert superseded.deletable == [oldest, older]

    def test_an_import_requested_at_the_same_time_is_not_superseded(self) -> None:
        assert superseded_imports([task(hours=0)], [NEW]).deletable == []

    @pytest.mark.parametrize(
        ("status", "where"),
        [
            ("IMPORT_COMPLETE_WITH_ERRORS", "deletable"),
            ("IMPORT_FAILED", "deletable"),
            ("INTERNAL_ERROR", "deletable"),
            ("DELETE_FAILED", "deletable"),
            ("DELETE_FAILED_LIMIT_EXCEEDED", "deletable"),
            ("DELETE_IN_PROGRESS", "deleting"),
            ("DELETE_COMPLETE", "deleted"),
            ("IMPORT_IN_PROGRESS", "running"),
            ("IMPORT_PAUSED", "unknown"),
            (None, "unknown"),
        ],
    )
    def test_the_status_decides(self, status: Any, where: str) -> None:
        old = task(status)
        superseded = superseded_imports([old], [NEW])
        assert {name: tasks for name, tasks in vars(superseded).items() if tasks} == {where: [old]}

    def test_data_deleted_after_the_new_import_counts_as_being_deleted(self) -> None:
        old = task("DELETE_COMPLETE", import_deleted_time=NEW_REQUESTED + timedelta(minutes=1))
        assert superseded_imports([old], [NEW]).deleting == [old]

    def test_an_import_without_a_request_time_is_unknown(self) -> None:
        old = task(hours=None)
        assert superseded_imports([old, task(), task(hours=None)], [NEW]).unknown[0] == old

    def test_a_new_import_without_a_request_time_is_refused(self) -> None:
        with pytest.raises(ValueError, match="did not return its request time"):
            superseded_imports([], [task(hours=None)])
