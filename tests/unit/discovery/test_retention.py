from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.retention import due_time, mark_due, reasons_against, superseded_imports

IDS = count()
NEW_REQUESTED = datetime(2026, 1, 2, tzinfo=UTC)


def task(status: str = "IMPORT_COMPLETE", name: str = "cmdb-1", hours: float | None = -1, **fields: Any) -> ImportTask:
    """Return an import that was requested some hours after the new one."""
    requested = None if hours is None else NEW_REQUESTED + timedelta(hours=hours)
    fields = {"name": name, "status": status, "import_request_time": requested, **fields}
    return ImportTask(import_task_id=f"import-task-{next(IDS):032x}", **fields)


NEW = task(hours=0)


class TestReasonsNotToSupersede:
    def test_there_are_none_if_all_imports_succeeded(self) -> None:
        assert reasons_against([NEW, task(name="cmdb-2")], "cmdb-", allow_failed_records=False) == []

    def test_an_import_of_another_series(self) -> None:
        (reason,) = reasons_against([NEW, task(name="dmz-1")], "cmdb-", allow_failed_records=True)
        assert reason.startswith("Correct name_prefix='cmdb-': the import's name does not start with it. ")

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
        assert reason.startswith("Check the import, whose request time the service did not return. ")


class TestSupersededImports:
    def test_imports_older_than_every_new_one_are_superseded_in_order(self) -> None:
        older, oldest, between, later = task(hours=-1), task(hours=-2), task(hours=0.5), task(hours=2)
        second = task(hours=1)
        superseded = superseded_imports([later, older, NEW, between, second, oldest], [second, NEW], None)
        assert superseded.deletable == [oldest, older]

    def test_an_import_requested_at_the_same_time_is_not_superseded(self) -> None:
        assert superseded_imports([task(hours=0)], [NEW], None).deletable == []

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
    def test_the_status_decides_which_list_an_import_is_in(self, status: Any, where: str) -> None:
        old = task(status)
        superseded = superseded_imports([old], [NEW], None)
        assert {name: tasks for name, tasks in vars(superseded).items() if tasks} == {where: [old]}

    def test_data_deleted_after_the_new_import_counts_as_being_deleted(self) -> None:
        old = task("DELETE_COMPLETE", import_deleted_time=NEW_REQUESTED + timedelta(minutes=1))
        assert superseded_imports([old], [NEW], None).deleting == [old]

    def test_an_import_without_a_request_time_is_unknown(self) -> None:
        old = task(hours=None)
        assert superseded_imports([old, task(), task(hours=None)], [NEW], None).unknown[0] == old

    def test_a_new_import_without_a_request_time_is_refused(self) -> None:
        with pytest.raises(ValueError, match="whose request time the service did not return"):
            superseded_imports([], [task(hours=None)], None)


def due(hours: float) -> str:
    """Return the token of a run that was due some hours after the new imports were requested."""
    return mark_due("0" * 64, NEW_REQUESTED + timedelta(hours=hours))


class TestDueTime:
    def test_a_token_contains_the_due_time_in_full_seconds(self) -> None:
        token = mark_due("f" * 64, NEW_REQUESTED + timedelta(seconds=1.7))
        assert token == "f" * 64 + "-1767312001"
        assert due_time(task(client_request_token=token)) == NEW_REQUESTED + timedelta(seconds=1)

    @pytest.mark.parametrize("token", [None, "", "my-token-1767312001", "f" * 64, mark_due("f" * 64, None)])
    def test_other_tokens_contain_no_due_time(self, token: Any) -> None:
        assert due_time(task(client_request_token=token)) is None

    def test_an_import_of_a_run_that_was_due_later_stays(self) -> None:
        newer = task(hours=-1, client_request_token=due(-2))
        superseded = superseded_imports([newer], [NEW], NEW_REQUESTED - timedelta(hours=3))
        assert (superseded.deletable, superseded.due_later) == ([], [newer])

    def test_an_import_of_a_run_that_was_due_earlier_is_superseded_even_if_requested_later(self) -> None:
        old = task(hours=1, client_request_token=due(-5))
        assert superseded_imports([old], [NEW], NEW_REQUESTED - timedelta(hours=3)).deletable == [old]

    def test_an_earlier_import_of_the_same_run_is_superseded_and_a_later_one_stays(self) -> None:
        first, cleared = (task(hours=hours, client_request_token=due(-3)) for hours in (-1, 1))
        superseded = superseded_imports([first, cleared], [NEW], NEW_REQUESTED - timedelta(hours=3))
        assert (superseded.deletable, superseded.due_later) == ([first], [])

    def test_an_import_without_a_due_time_stays_if_requested_after_the_run_was_due(self) -> None:
        before, after = task(hours=-4), task(hours=-2, client_request_token="my-token")
        superseded = superseded_imports([before, after], [NEW], NEW_REQUESTED - timedelta(hours=3))
        assert (superseded.deletable, superseded.due_later) == ([before], [after])
