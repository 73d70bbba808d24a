from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, DeletionWaitTimeout, ImportDeletionError
from airflow_provider_ads.operators import AdsDeleteImportDataOperator
from airflow_provider_ads.triggers import AdsDeleteImportDataTrigger
from tests.support.task_runs import TRIGGER_CRASHED, TRIGGER_TIMED_OUT, Run, context_of, run_task

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
    def test_all_ten_with_a_call_and_waits_until_they_are_deleted(
        self, aws_default: AdsEmulator, ended: list[str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.3
        run = run_task(operator(ended, **wait), monkeypatch)
        assert (run.state, run.result) == ("success", ended)
        assert statuses(aws_default) == {"DELETE_COMPLETE"}
        assert aws_default.calls()["BatchDeleteImportData"] == 3
        assert len(run.deferrals) == wait["deferrable"]

    def test_one_as_text(self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        aws_default.delete_seconds = 0.01
        assert run_task(operator(ended[0]), monkeypatch).result == [ended[0]]

    def test_with_the_history_they_are_gone(
        self, aws_default: AdsEmulator, ended: list[str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.3
        run = run_task(operator(ended, delete_history=True, **wait), monkeypatch)
        assert (run.state, run.result) == ("success", ended)
        assert aws_default.import_tasks() == []

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_without_waiting_it_ends_when_the_service_has_accepted(
        self, aws_default: AdsEmulator, ended: list[str], deferrable: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 60
        run = run_task(operator(ended, wait_for_completion=False, deferrable=deferrable), monkeypatch)
        assert (run.state, run.result) == ("success", ended)
        assert statuses(aws_default) == {"DELETE_IN_PROGRESS"}


class TestRetry:
    def test_asks_again_only_for_what_is_not_being_deleted(
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
    def test_of_what_is_deleted_asks_for_nothing(
        self, aws_default: AdsEmulator, ended: list[str], delete_history: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.01
        results = [run_task(operator(ended[:3], delete_history=delete_history), monkeypatch).result for _ in range(2)]
        assert results == [ended[:3]] * 2
        assert aws_default.calls()["BatchDeleteImportData"] == 1

    def test_deletes_the_history_of_what_is_deleted(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.01
        run_task(operator(ended), monkeypatch)
        assert run_task(operator(ended, delete_history=True), monkeypatch).result == ended
        assert aws_default.import_tasks() == []

    def test_deletes_again_what_could_not_be_deleted(
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

    def test_of_single_imports_is_one_error_that_names_them_all(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.inject("INTERNAL_SERVER_ERROR", import_task_id=ended[12], message="AWS says why.")
        run = run_task(operator([*ended, UNKNOWN_ID]), monkeypatch)
        assert isinstance(run.error, ImportDeletionError)
        assert run.error.errors == {ended[12]: "INTERNAL_SERVER_ERROR", UNKNOWN_ID: "NOT_FOUND"}
        assert f"{ended[12]} (INTERNAL_SERVER_ERROR: AWS says why)" in str(run.error)
        assert "run the task again" in str(run.error)
        assert "Check that region_name" in str(run.error)
        assert aws_default.calls()["BatchDeleteImportData"] == 3

    def test_no_call_follows_once_the_limit_of_the_day_is_reached(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.inject("OVER_LIMIT", import_task_id=ended[9])
        run = run_task(operator(ended), monkeypatch)
        assert isinstance(run.error, ImportDeletionError)
        assert run.error.errors == dict.fromkeys([ended[9], *ended[10:]], "OVER_LIMIT")
        assert "after 00:00 UTC" in str(run.error)
        assert aws_default.calls()["BatchDeleteImportData"] == 1

    def test_a_message_names_twenty_at_most(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.inject("NOT_FOUND")
        run = run_task(operator(ended), monkeypatch)
        assert "and 5 more" in str(run.error)
        assert len(run.error.errors) == 25  # type: ignore[union-attr]

    @pytest.mark.parametrize("ids", [[], "nonsense", None])
    def test_of_bad_ids_comes_before_any_call(
        self, aws_default: AdsEmulator, ids: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert isinstance(run_task(operator(ids), monkeypatch).error, ValueError)
        assert not aws_default.calls()


class TestVerdict:
    @pytest.mark.parametrize("status", ["DELETE_FAILED", "DELETE_FAILED_LIMIT_EXCEEDED", "INTERNAL_ERROR"])
    def test_a_deletion_that_failed_fails_the_task(
        self,
        aws_default: AdsEmulator,
        ended: list[str],
        status: str,
        wait: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        aws_default.delete_seconds = 60
        run = self.run_until(aws_default, ended[:2], {ended[0]: status, ended[1]: "DELETE_COMPLETE"}, wait, monkeypatch)
        assert run.state == "up_for_retry"
        assert isinstance(run.error, ImportDeletionError)
        assert run.error.errors == {ended[0]: status}
        assert "Delete it again" in str(run.error)
        assert ended[1] not in str(run.error)

    def test_a_status_of_the_future_is_an_error(
        self, aws_default: AdsEmulator, ended: list[str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 60
        run = self.run_until(aws_default, ended[:1], {ended[0]: "DELETE_PAUSED"}, wait, monkeypatch)
        assert isinstance(run.error, AdsCallError)
        assert run.error.code == "UnknownStatus"

    @staticmethod
    def run_until(
        ads: AdsEmulator, ids: list[str], ends: dict[str, str], wait: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> Run:
        """Delete imports, and have each deletion end in its own way once it is seen to be going."""
        look = AdsDeleteImportDataOperator.look
        looks: list[Any] = []

        def watched(self: Any, import_task_ids: Any) -> Any:
            looks.append(look(self, import_task_ids))
            if len(looks) == 2:
                for import_task_id, status in ends.items():
                    ads.update_import_task(import_task_id, status=status)
            return looks[-1]

        monkeypatch.setattr(AdsDeleteImportDataOperator, "look", watched)
        return run_task(operator(ids, **wait), monkeypatch)


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
        assert "a retry of the task waits for it" in str(run.error)
        assert "AdsImportTaskSensor" not in str(run.error)

    @pytest.mark.parametrize("failure", [TRIGGER_CRASHED, TRIGGER_TIMED_OUT], ids=["crashed", "timed out"])
    def test_a_deferral_that_failed_is_explained(
        self, aws_default: AdsEmulator, ended: list[str], failure: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 60
        run = run_task(operator(ended[0], deferrable=True), monkeypatch, deferral_failure=failure)
        assert isinstance(run.error, AdsCallError)
        assert "The deletion goes on at AWS" in str(run.error)

    def test_has_a_trigger_of_its_own(
        self, aws_default: AdsEmulator, ended: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.delete_seconds = 0.3
        run = run_task(operator(ended[:2], deferrable=True), monkeypatch)
        assert run.deferrals[0]["import_task_ids"] == ended[:2]
        trigger = AdsDeleteImportDataTrigger(**run.deferrals[0])
        assert trigger.serialize()[0] == "airflow_provider_ads.triggers.AdsDeleteImportDataTrigger"


def test_a_killed_task_says_that_the_deletion_goes_on(
    aws_default: AdsEmulator, ended: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    aws_default.delete_seconds = 60
    task = operator(ended, wait_for_completion=False)
    task.execute(context_of(task))
    task.on_kill()
    assert f"{ended[0]} and 24 more: the deletion of its data goes on" in capsys.readouterr().out
