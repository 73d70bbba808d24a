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
    """An import that was requested some hours after the new one."""
    requested = None if hours is None else NEW_REQUESTED + timedelta(hours=hours)
    fields = {"name": name, "status": status, "import_request_time": requested, **fields}
    return ImportTask(import_task_id=f"import-task-{next(IDS):032x}", **fields)


NEW = task(hours=0)


class TestReasonsAgainst:
    def test_none_if_all_ended_well(self) -> None:
        assert reasons_against([NEW, task(name="cmdb-2")], "cmdb-", allow_failed_records=False) == []

    def test_one_of_another_series(self) -> None:
        (reason,) = reasons_against([NEW, task(name="dmz-1")], "cmdb-", allow_failed_records=True)
        assert "name does not start with name_prefix='cmdb-'" in reason

    @pytest.mark.parametrize("status", ["IMPORT_FAILED", "IMPORT_IN_PROGRESS", "DELETE_COMPLETE", "NEW", None])
    def test_one_that_did_not_end_well(self, status: Any) -> None:
        (reason,) = reasons_against([NEW, task(status)], "cmdb-", allow_failed_records=True)
        assert "only good copy" in reason

    @pytest.mark.parametrize("failed", [{"server_import_failure": 1}, {"status": "IMPORT_COMPLETE_WITH_ERRORS"}])
    def test_one_with_failed_records_unless_they_are_allowed(self, failed: Any) -> None:
        bad = task(**failed)
        (reason,) = reasons_against([NEW, bad], "cmdb-", allow_failed_records=False)
        assert bad.import_task_id in reason
        assert "allow_failed_records=True" in reason
        assert reasons_against([NEW, bad], "cmdb-", allow_failed_records=True) == []

    def test_one_without_the_time_of_its_request(self) -> None:
        assert len(reasons_against([task(hours=None)], "cmdb-", allow_failed_records=False)) == 1


class TestSupersededImports:
    def test_those_requested_before_the_oldest_new_one_from_the_oldest_on(self) -> None:
        older, oldest, between, later = task(hours=-1), task(hours=-2), task(hours=0.5), task(hours=2)
        second = task(hours=1)
        superseded = superseded_imports([later, older, NEW, between, second, oldest], [second, NEW])
        assert superseded.deletable == [oldest, older]

    def test_one_requested_at_the_same_moment_stays(self) -> None:
        assert superseded_imports([task(hours=0)], [NEW]).deletable == []

    @pytest.mark.parametrize(
        ("status", "where"),
        [
            ("IMPORT_COMPLETE_WITH_ERRORS", "deletable"),
            ("IMPORT_FAILED", "deletable"),
            ("INTERNAL_ERROR", "deletable"),
            ("DELETE_FAILED", "deletable"),
            ("DELETE_FAILED_LIMIT_EXCEEDED", "deletable"),
            ("DELETE_IN_PROGRESS", "going"),
            ("DELETE_COMPLETE", "deleted"),
            ("IMPORT_IN_PROGRESS", "running"),
            ("IMPORT_PAUSED", "unknown"),
            (None, "unknown"),
        ],
    )
    def test_are_sorted_by_their_status(self, status: Any, where: str) -> None:
        old = task(status)
        superseded = superseded_imports([old], [NEW])
        assert {name: tasks for name, tasks in vars(superseded).items() if tasks} == {where: [old]}

    def test_one_deleted_since_the_new_import_is_as_one_that_is_being_deleted(self) -> None:
        old = task("DELETE_COMPLETE", import_deleted_time=NEW_REQUESTED + timedelta(minutes=1))
        assert superseded_imports([old], [NEW]).going == [old]

    def test_one_without_the_time_of_its_request_stays(self) -> None:
        old = task(hours=None)
        assert superseded_imports([old, task(), task(hours=None)], [NEW]).unknown[0] == old

    def test_new_ones_without_a_time_are_refused(self) -> None:
        with pytest.raises(ValueError, match="when it was requested"):
            superseded_imports([], [task(hours=None)])
