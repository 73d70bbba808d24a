from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from airflow_provider_ads.discovery.verdicts import MISSING_TASK_POLLS
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, DeletionWaitTimeout, ImportDeletionError
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsDeleteImportDataOperator
from tests.support.lagging_emulator import LaggingEmulator
from tests.support.recording_emulator import RecordingEmulator
from tests.support.task_runs import (
    TRIGGER_CRASHED,
    TRIGGER_TIMED_OUT,
    TaskDeferred,
    at_the_second_poll,
    context_of,
    run_task,
)

UNKNOWN_ID = "import-task-" + "f" * 32
WAITS: dict[str, dict[str, Any]] = {"sync": {"deferrable": False}, "deferrable": {"deferrable": True}}


def operator(import_task_id: Any, **arguments: Any) -> AdsDeleteImportDataOperator:
    return AdsDeleteImportDataOperator(
        **{"task_id": "delete", "import_task_id": import_task_id, "poll_interval": 0.02, "retries": 2, **arguments}
    )


@pytest.fixture
def ended(aws_default: AdsEmulator) -> list[str]:
    """Imports that have ended."""
    return [aws_default.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=2) for _ in range(25)]


def statuses(ads: AdsEmulator) -> set[str]:
    return {task["status"] for task in ads.import_tasks()}


@pytest.fixture(params=WAITS)
def wait(request: pytest.FixtureRequest) -> dict[str, Any]:
    return WAITS[request.param]


class TestDelete:
    def test_it_deletes_ten_per_call_and_waits(
        self, aws_default: AdsEmulator, ended: list[str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.3
        run = run_task(operator(ended, **wait), monkeypatch)
        assert (run.state, run.result) == ("success", ended)
        assert statuses(aws_default) == {"DELETE_COMPLETE"}
        assert aws_default.calls()["BatchDeleteImportData"] == 3
        assert len(run.deferrals) == wait["deferrable"]

    def test_with_delete_history_the_tasks_are_no_longer_listed(
        self, aws_default: AdsEmulator, ended: list[str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.3
        run = run_task(operator(ended, delete_history=True, **wait), monkeypatch)
        assert (run.state, run.result) == ("success", ended)
        assert aws_default.import_tasks() == []

    def test_the_log_reports_that_an_import_without_history_was_deleted(
        self,
        aws_default: AdsEmulator,
        ended: list[str],
        wait: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        run_task(operator(ended[0], delete_history=True, **wait), monkeypatch)
        assert re.search(rf"1 of 1 imports deleted\nnot listed +{ended[0]}", capsys.readouterr().out)

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_without_waiting_it_ends_when_the_service_has_accepted(
        self, aws_default: AdsEmulator, ended: list[str], deferrable: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 60
        run = run_task(operator(ended, wait_for_completion=False, deferrable=deferrable), monkeypatch)
        assert (run.state, run.result) == ("success", ended)
        assert statuses(aws_default) == {"DELETE_IN_PROGRESS"}


class TestXCom:
    def test_the_imports_are_pushed_before_and_after_the_wait(
        self, aws_default: AdsEmulator, ended: list[str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.3
        run = run_task(operator(ended[:2], **wait), monkeypatch)
        assert {key for key, _ in run.pushes} == {"deletion"}
        assert len(run.pushes) > 1
        summaries = [AdsHook().get_import_task(import_task_id).summary() for import_task_id in ended[:2]]
        assert {summary["status"] for summary in summaries} == {"DELETE_COMPLETE"}
        assert run.xcoms["deletion"] == {"dry_run": False, "import_tasks": summaries}

    def test_imports_that_are_no_longer_listed_keep_their_name_and_counts(
        self, aws_default: AdsEmulator, wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.3
        old = aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE", serverImportSuccess=2)
        run = run_task(operator([old, UNKNOWN_ID], delete_history=True, **wait), monkeypatch)
        assert run.state == "success"
        first, second = run.xcoms["deletion"]["import_tasks"]
        assert (first["name"], first["serverImportSuccess"], first["status"]) == ("cmdb", 2, None)
        assert (second["importTaskId"], second["name"], second["status"]) == (UNKNOWN_ID, None, None)

    def test_a_failed_deletion_is_pushed(
        self, aws_default: AdsEmulator, wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import_task_id = aws_default.add_import_task(status="DELETE_IN_PROGRESS")
        fail = partial(aws_default.update_import_task, import_task_id, status="DELETE_FAILED")
        with at_the_second_poll(aws_default, fail):
            run = run_task(operator(import_task_id, **wait), monkeypatch)
        assert run.state == "up_for_retry"
        assert run.xcoms["deletion"]["import_tasks"][0]["status"] == "DELETE_FAILED"

    def test_nothing_is_pushed_without_do_xcom_push(
        self, aws_default: AdsEmulator, ended: list[str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = run_task(operator(ended[0], delete_history=True, do_xcom_push=False, **wait), monkeypatch)
        assert (run.state, run.pushes) == ("success", [])


class TestRetry:
    def test_it_does_not_request_a_running_deletion_again(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 60
        first, second = ended[:2]
        run_task(operator(first, wait_for_completion=False), monkeypatch)
        aws_default.delete_seconds = 0.01
        run = run_task(operator([first, second, first]), monkeypatch, try_number=2)
        assert (run.state, run.result) == ("success", [first, second])
        assert aws_default.calls()["BatchDeleteImportData"] == 2

    @pytest.mark.parametrize("delete_history", [False, True])
    def test_it_does_not_request_a_finished_deletion_again(
        self, aws_default: AdsEmulator, ended: list[str], delete_history: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.01
        results = [run_task(operator(ended[:3], delete_history=delete_history), monkeypatch).result for _ in range(2)]
        assert results == [ended[:3]] * 2
        assert aws_default.calls()["BatchDeleteImportData"] == 1

    def test_it_deletes_the_history_of_deleted_data(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.01
        run_task(operator(ended), monkeypatch)
        assert run_task(operator(ended, delete_history=True), monkeypatch).result == ended
        assert aws_default.import_tasks() == []

    def test_it_requests_a_failed_deletion_again(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.01
        failed = aws_default.add_import_task(status="DELETE_FAILED")
        assert run_task(operator(failed), monkeypatch).result == [failed]


class TestRefusal:
    def test_nothing_is_deleted_while_an_import_is_in_progress(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running = aws_default.add_import_task()
        run = run_task(operator([*ended, running]), monkeypatch)
        assert run.state == "up_for_retry"
        assert isinstance(run.error, AdsCallError)
        assert run.error.import_task_id == running
        assert "Nothing was deleted" in str(run.error)
        assert aws_default.calls()["BatchDeleteImportData"] == 0

    def test_one_error_names_every_refused_import(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.inject("INTERNAL_SERVER_ERROR", import_task_id=ended[12], message="AWS says why.")
        run = run_task(operator([*ended, UNKNOWN_ID]), monkeypatch)
        assert isinstance(run.error, ImportDeletionError)
        assert run.error.errors == {ended[12]: "INTERNAL_SERVER_ERROR", UNKNOWN_ID: "NOT_FOUND"}
        assert f"{ended[12]} (INTERNAL_SERVER_ERROR: AWS says why)" in str(run.error)
        assert "Run the task again" in str(run.error)
        assert "Check that region_name" in str(run.error)
        assert aws_default.calls()["BatchDeleteImportData"] == 3

    @pytest.mark.parametrize("ids", [[], "nonsense", None])
    def test_bad_ids_are_refused_before_any_call(
        self, aws_default: AdsEmulator, ids: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert isinstance(run_task(operator(ids), monkeypatch).error, ValueError)
        assert not aws_default.calls()


class TestVerdict:
    def test_a_failed_deletion_fails_the_task(
        self, aws_default: AdsEmulator, ended: list[str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 60

        def end_deletions() -> None:
            aws_default.update_import_task(ended[1], status="DELETE_COMPLETE")
            aws_default.update_import_task(ended[0], status="DELETE_FAILED")

        with at_the_second_poll(aws_default, end_deletions):
            run = run_task(operator(ended[:2], **wait), monkeypatch)
        assert run.state == "up_for_retry"
        assert isinstance(run.error, ImportDeletionError)
        assert run.error.errors == {ended[0]: "DELETE_FAILED"}
        assert str(run.error).startswith(
            "Delete the data again: part of it might be deleted.\n1 of 2 imports deleted\n"
        )

    def test_an_unknown_status_is_an_error(
        self, aws_default: AdsEmulator, ended: list[str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 60
        with at_the_second_poll(aws_default, lambda: aws_default.update_import_task(ended[0], status="DELETE_PAUSED")):
            run = run_task(operator(ended[0], **wait), monkeypatch)
        assert isinstance(run.error, AdsCallError)
        assert run.error.code == "UnknownStatus"

    def test_an_import_that_other_credentials_do_not_list_does_not_count_as_deleted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with RecordingEmulator(delete_seconds=60) as ads, RecordingEmulator() as another:
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)

            def change_connection() -> None:
                monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", another.connection_with("AKIAOTHER"))
                ads.expire(ads.access_key[0])

            with at_the_second_poll(ads, change_connection):
                run = run_task(operator(ads.add_import_task(status="IMPORT_COMPLETE")), monkeypatch)
        assert run.state == "up_for_retry"
        assert isinstance(run.error, AdsCallError)
        assert run.error.code == "ConnectionChanged"

    @pytest.mark.parametrize("before", ["DELETE_FAILED", "DELETE_FAILED_LIMIT_EXCEEDED", "INTERNAL_ERROR"])
    @pytest.mark.parametrize(
        ("stale_polls", "state"), [(MISSING_TASK_POLLS - 1, "success"), (MISSING_TASK_POLLS, "up_for_retry")]
    )
    def test_the_result_of_an_earlier_deletion_does_not_count_immediately(
        self, wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch, before: str, stale_polls: int, state: str
    ) -> None:
        with LaggingEmulator(stale_polls) as ads:
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
            deleted = ads.add_import_task(status="DELETE_COMPLETE")
            failed = ads.add_import_task(status=before)
            run = run_task(operator([deleted, failed], **wait), monkeypatch)
        assert (run.state, len(run.deferrals)) == (state, 0)
        assert ads.calls() == {"BatchDeleteImportData": 1, "DescribeImportTasks": 1 + MISSING_TASK_POLLS}


class TestDeferral:
    def test_the_execution_timeout_is_the_deadline(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 60
        task = operator(ended[0], deferrable=True, execution_timeout=timedelta(seconds=4))
        run = run_task(task, monkeypatch)
        assert isinstance(run.error, DeletionWaitTimeout)
        assert ended[0] in str(run.error)
        assert "DELETE_IN_PROGRESS" in str(run.error)
        assert "a retry of the task waits for the deletion" in str(run.error)
        assert "AdsImportTaskSensor" not in str(run.error)

    @pytest.mark.parametrize("delete_history", [False, True])
    def test_a_deletion_that_ended_while_no_triggerer_ran_counts(
        self, aws_default: AdsEmulator, ended: list[str], delete_history: bool
    ) -> None:
        aws_default.delete_seconds = 0.1
        task = operator(ended, deferrable=True, delete_history=delete_history)
        with pytest.raises(TaskDeferred):
            task.execute(context_of(task))
        while "DELETE_IN_PROGRESS" in [each["status"] for each in aws_default.import_tasks()]:
            pass
        assert task.resume_execution("__fail__", TRIGGER_TIMED_OUT, context_of(task)) == ended

    def test_a_failed_deferral_is_explained(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 60
        run = run_task(operator(ended[0], deferrable=True), monkeypatch, deferral_failure=TRIGGER_CRASHED)
        assert isinstance(run.error, AdsCallError)
        assert str(run.error).startswith("See the log above, and run the task again: the trigger that waited")


def test_a_killed_task_logs_that_the_deletion_continues(
    aws_default: AdsEmulator, ended: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    aws_default.delete_seconds = 60
    task = operator(ended, wait_for_completion=False)
    task.execute(context_of(task))
    task.on_kill()
    assert "The task was killed, but AWS continues to delete the data of 25 imports; a retry" in capsys.readouterr().out
