from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import current_thread, main_thread
from typing import Any

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads import waiting
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, ImportOutcomeError, ImportWaitTimeout
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.triggers import DEFERRAL_GRACE
from airflow_provider_ads.version_compat import AirflowFailException, AirflowSkipException
from airflow_provider_ads.waiting import RESUMPTION_MARGIN
from tests.support.task_runs import (
    TRIGGER_CRASHED,
    TRIGGER_TIMED_OUT,
    TaskDeferred,
    at_the_second_poll,
    context_of,
    run_task,
)

ID = "import-task-" + "f" * 32
WAITS: dict[str, dict[str, Any]] = {
    "sync": {"wait_for_completion": True, "deferrable": False},
    "deferrable": {"wait_for_completion": True, "deferrable": True},
}


def operator(import_url: Any, **arguments: Any) -> AdsStartImportTaskOperator:
    defaults: dict[str, Any] = {"name": "cmdb", "import_url": import_url, "poll_interval": 0.02, "retries": 2}
    return AdsStartImportTaskOperator(**{"task_id": "start", **defaults, **arguments})


class TestWithoutWaiting:
    @pytest.mark.parametrize("deferrable", [False, True])
    def test_the_result_is_the_id_and_the_import_is_logged(
        self,
        aws_default: AdsEmulator,
        inventory: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        deferrable: bool,
    ) -> None:
        run = run_task(operator(inventory, deferrable=deferrable), monkeypatch)
        (task,) = aws_default.import_tasks()
        assert (run.state, run.result, run.deferrals) == ("success", task["importTaskId"], [])
        assert run.pushes == [("import_task", ImportTask.from_response(task).summary())]
        assert (task["name"], task["importUrl"]) == ("cmdb", inventory)
        log = capsys.readouterr().out
        outcome = "IMPORT_IN_PROGRESS: started in us-west-2"
        assert f"{outcome}. {inventory} ('cmdb', {run.result})" in log
        assert ("Not waiting for the import, because wait_for_completion is False" in log) is deferrable

    def test_the_users_token_is_sent_unchanged(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runs = [run_task(operator(inventory, client_request_token="my token"), monkeypatch) for _ in range(2)]
        assert runs[0].result == runs[1].result
        assert len(aws_default.import_tasks()) == 1

    @pytest.mark.parametrize(
        ("arguments", "rule"),
        [
            ({"name": " "}, "1 to 255 characters"),
            ({"import_url": "s3://bucket"}, "a scheme, a bucket and an object"),
            ({"client_request_token": "t" * 101}, "1 to 100 characters"),
            ({"max_failed_records": "many"}, "a whole number of 0 or more"),
        ],
    )
    def test_bad_input_is_refused_before_any_call(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], rule: str
    ) -> None:
        run = run_task(operator(**{"import_url": "s3://bucket/key", **arguments}), monkeypatch)
        assert isinstance(run.error, ValueError)
        assert rule in str(run.error)
        assert not aws_default.calls()

    def test_a_refused_call_follows_the_retries(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = run_task(operator(inventory, region_name="eu-west-1"), monkeypatch)
        assert run.state == "up_for_retry"
        assert "home region" in str(run.error)


def test_a_wait_on_a_worker_pushes_each_change_of_the_counts(
    aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_default.import_seconds = 60
    counts = iter(
        [(1, "IMPORT_IN_PROGRESS"), (2, "IMPORT_IN_PROGRESS"), (2, "IMPORT_IN_PROGRESS"), (3, "IMPORT_COMPLETE")]
    )

    def count_more(seconds: float) -> None:
        count, status = next(counts)
        (task,) = aws_default.import_tasks()
        aws_default.update_import_task(task["importTaskId"], serverImportSuccess=count, status=status)

    monkeypatch.setattr("airflow_provider_ads.waiting.time.sleep", count_more)
    run = run_task(operator(inventory, **WAITS["sync"]), monkeypatch)
    pushed = [value["serverImportSuccess"] for key, value in run.pushes if key == "import_task"]
    assert pushed[1:] == [1, 2, 3]


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
class TestWaiting:
    def test_the_result_is_the_id_and_the_summary_is_pushed(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
    ) -> None:
        run = run_task(operator(inventory, **wait), monkeypatch)
        assert run.state == "success"
        assert run.result == run.xcoms["import_task"]["importTaskId"]
        assert run.xcoms["import_task"]["status"] == "IMPORT_COMPLETE"
        assert run.xcoms["import_task"]["serverImportSuccess"] == 3

    def test_the_summary_is_pushed_before_the_wait(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
    ) -> None:
        run = run_task(operator(inventory, **wait), monkeypatch)
        statuses = [value["status"] for key, value in run.pushes if key == "import_task"]
        assert statuses == ["IMPORT_IN_PROGRESS", "IMPORT_COMPLETE"]

    def test_failed_records_fail_the_task_without_a_retry(
        self, aws_default: AdsEmulator, half_bad_inventory: str, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
    ) -> None:
        run = run_task(operator(half_bad_inventory, **wait), monkeypatch)
        assert isinstance(run.error, AirflowFailException)
        assert "max_failed_records" in str(run.error)
        assert run.xcoms["import_task"]["serverImportFailure"] == 1
        for limit in (1, "1", "None", None):
            run = run_task(operator(half_bad_inventory, max_failed_records=limit, **wait), monkeypatch)
            assert run.state == "success"

    @pytest.mark.parametrize(
        ("status", "state", "error"),
        [
            ("IMPORT_FAILED", "up_for_retry", ImportOutcomeError),
            ("IMPORT_FAILED_SERVER_LIMIT_EXCEEDED", "failed", AirflowFailException),
            ("IMPORT_OF_THE_FUTURE", "up_for_retry", AdsCallError),
        ],
    )
    def test_only_retryable_failures_follow_the_retries(
        self,
        aws_default: AdsEmulator,
        inventory: str,
        monkeypatch: pytest.MonkeyPatch,
        wait: dict[str, Any],
        status: str,
        state: str,
        error: type[Exception],
    ) -> None:
        aws_default.import_seconds = 60

        def end_import() -> None:
            aws_default.update_import_task(aws_default.import_tasks()[0]["importTaskId"], status=status)

        with at_the_second_poll(aws_default, end_import):
            run = run_task(operator(inventory, **wait), monkeypatch)
        assert (run.state, type(run.error)) == (state, error)
        assert status in str(run.error)
        assert run.xcoms["import_task"]["status"] == status

    def test_the_wait_continues_after_transient_errors_with_one_start(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
    ) -> None:
        for fault in ("ThrottlingException", "ServerInternalErrorException", "drop"):
            aws_default.inject(fault, operation="DescribeImportTasks", calls=3)
        once = {"retries": {"total_max_attempts": 1}}
        run = run_task(operator(inventory, botocore_config=once, **wait), monkeypatch)
        assert run.state == "success"
        assert aws_default.calls()["StartImportTask"] == 1

    def test_a_refused_call_ends_the_wait_at_the_next_poll(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
    ) -> None:
        aws_default.inject("AuthorizationErrorException", operation="DescribeImportTasks")
        run = run_task(operator(inventory, **wait), monkeypatch)
        assert run.state == "up_for_retry"
        assert isinstance(run.error, AdsCallError)
        assert run.error.code == "AuthorizationErrorException"
        assert aws_default.calls() == {"StartImportTask": 1, "DescribeImportTasks": 1}

    def test_an_import_that_has_ended_needs_no_wait(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
    ) -> None:
        first = run_task(operator(inventory, client_request_token="t", **wait), monkeypatch)
        aws_default.clear_calls()
        second = run_task(operator(inventory, client_request_token="t", **wait), monkeypatch)
        assert (second.result, second.deferrals) == (first.result, [])
        assert aws_default.calls() == {"StartImportTask": 1}

    def test_a_long_outage_ends_the_wait(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
    ) -> None:
        monkeypatch.setattr("airflow_provider_ads.progress.LONGEST_OUTAGE", 0.2)
        aws_default.inject("ThrottlingException", operation="DescribeImportTasks")
        once = {"retries": {"total_max_attempts": 1}}
        run = run_task(operator(inventory, botocore_config=once, **wait), monkeypatch)
        assert run.state == "up_for_retry"
        assert "ThrottlingException" in str(run.error)


@pytest.fixture
def parts(ads: AdsEmulator) -> list[str]:
    """The URLs of four valid files."""
    return [
        ads.upload(f"s3://inventory/parts/part-{number:04}.csv", f"ExternalId\n{number}\n") for number in range(1, 5)
    ]


class ResultOfMappedTask:
    """Like Airflow's lazy sequence of a mapped task's results, which is neither a list nor a tuple."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.iterations = 0

    def __iter__(self) -> Iterator[Any]:
        assert current_thread() is main_thread()
        self.iterations += 1
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)


MODES = {"not waiting": {}, **WAITS}


class TestListOfFiles:
    @pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
    def test_the_results_are_lists_in_the_order_of_the_files(
        self, aws_default: AdsEmulator, parts: list[str], monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        files = parts[::-1]
        run = run_task(operator(files, **mode), monkeypatch)
        tasks = aws_default.import_tasks()
        assert [task["importUrl"] for task in tasks] == files
        assert [task["name"] for task in tasks] == [f"cmdb-part-000{number}" for number in (4, 3, 2, 1)]
        assert (run.state, run.result) == ("success", [task["importTaskId"] for task in tasks])
        if mode:
            summaries = run.xcoms["import_task"]
            assert [each["importTaskId"] for each in summaries] == run.xcoms["return_value"] == run.result
            assert {each["status"] for each in summaries} == {"IMPORT_COMPLETE"}

    @pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
    def test_a_list_of_one_file_is_a_list(
        self, aws_default: AdsEmulator, parts: list[str], monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        run = run_task(operator(parts[:1], **mode), monkeypatch)
        (task,) = aws_default.import_tasks()
        assert (run.result, task["name"]) == ([task["importTaskId"]], "cmdb-part-0001")
        assert all(isinstance(value, list) for _, value in run.pushes)

    def test_all_files_are_one_deferral(
        self, aws_default: AdsEmulator, parts: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = run_task(operator(parts, **WAITS["deferrable"]), monkeypatch)
        (deferral,) = run.deferrals
        assert deferral["import_task_ids"] == run.result

    def test_every_shape_of_a_list_is_read_once(
        self, aws_default: AdsEmulator, parts: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lazy = ResultOfMappedTask([parts[:1], tuple(parts[1:3]), ResultOfMappedTask(parts[3:])])
        for files in (tuple(parts), lazy, ResultOfMappedTask(parts)):
            aws_default._tasks._tasks.clear()
            run = run_task(operator(files), monkeypatch)
            assert [task["importUrl"] for task in aws_default.import_tasks()] == parts
            assert len(run.result) == 4
        assert lazy.iterations == 1

    @pytest.mark.parametrize("files", [[], (), [[], []], ResultOfMappedTask([])], ids=repr)
    def test_an_empty_list_skips_the_task(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, files: Any
    ) -> None:
        run = run_task(operator(files), monkeypatch)
        assert (run.state, type(run.error)) == ("skipped", AirflowSkipException)
        assert not aws_default.calls()

    @pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
    @pytest.mark.parametrize("as_list", [False, True], ids=["one file", "list"])
    def test_the_ids_are_the_result_even_if_the_wait_fails(
        self,
        aws_default: AdsEmulator,
        half_bad_inventory: str,
        monkeypatch: pytest.MonkeyPatch,
        wait: dict[str, Any],
        as_list: bool,
    ) -> None:
        run = run_task(operator([half_bad_inventory] if as_list else half_bad_inventory, **wait), monkeypatch)
        ids = [task["importTaskId"] for task in aws_default.import_tasks()]
        assert (run.state, run.xcoms["return_value"]) == ("failed", ids if as_list else ids[0])

    @pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
    def test_nothing_is_pushed_without_do_xcom_push(
        self, aws_default: AdsEmulator, parts: list[str], monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
    ) -> None:
        assert run_task(operator(parts, do_xcom_push=False, **wait), monkeypatch).pushes == []

    @pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
    @pytest.mark.parametrize(
        ("statuses", "state", "error"),
        [
            (["IMPORT_FAILED", "INTERNAL_ERROR"], "up_for_retry", ImportOutcomeError),
            (["IMPORT_FAILED", "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"], "failed", AirflowFailException),
            (["IMPORT_FAILED", "IMPORT_OF_THE_FUTURE"], "up_for_retry", ImportOutcomeError),
            (["IMPORT_OF_THE_FUTURE", "IMPORT_COMPLETE"], "up_for_retry", AdsCallError),
        ],
    )
    def test_one_final_failure_is_final_for_all_files(
        self,
        aws_default: AdsEmulator,
        parts: list[str],
        monkeypatch: pytest.MonkeyPatch,
        wait: dict[str, Any],
        statuses: list[str],
        state: str,
        error: type[Exception],
    ) -> None:
        aws_default.import_seconds = 60

        def end_imports() -> None:
            for task, status in zip(
                aws_default.import_tasks(), [*statuses, "IMPORT_COMPLETE", "IMPORT_COMPLETE"], strict=True
            ):
                aws_default.update_import_task(task["importTaskId"], status=status)

        with at_the_second_poll(aws_default, end_imports):
            run = run_task(operator(parts, **wait), monkeypatch)
        assert (run.state, type(run.error)) == (state, error)
        assert all(status in str(run.error) for status in statuses)

    @pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
    def test_max_failed_records_applies_to_each_import(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
    ) -> None:
        bad = "ExternalId,HostName,OS.Name\n1,a.example,Linux\n,,Linux\n"
        files = [aws_default.upload(f"s3://inventory/{number}.csv", bad) for number in range(3)]
        assert run_task(operator(files, max_failed_records=1, **wait), monkeypatch).state == "success"
        run = run_task(operator(files, **wait), monkeypatch)
        assert "\n0 of 3 imports succeeded: 3 imported, 3 failed\n" in str(run.error)

    def test_the_logs_are_tables_under_a_total(
        self,
        aws_default: AdsEmulator,
        half_bad_inventory: str,
        parts: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        aws_default.import_seconds = 0.1
        run = run_task(operator([*parts[:2], half_bad_inventory], **WAITS["sync"]), monkeypatch)
        log = capsys.readouterr().out
        in_progress = "IMPORT_IN_PROGRESS  0 imported  0 failed"
        assert f"3 of 3 imports started\nstarted  {in_progress}  cmdb-part-0001  import-task-" in log
        assert "imports succeeded" not in log
        advice, _, total, first_row, *_ = str(run.error).replace(". ", ".\n").splitlines()
        assert advice.startswith("Correct the failed records and import them again")
        assert total == "2 of 3 imports succeeded: 3 imported, 1 failed"
        assert first_row.startswith("IMPORT_COMPLETE_WITH_ERRORS  1 imported  1 failed  cmdb-inventory  import-task-")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"import_url": ["s3://b/x/1.csv", "s3://b/2.csv", "s3://b/x/1.csv"]}, "a URL twice.*: 's3://b/x/1.csv'"),
            (
                {"import_url": [["s3://b/a/part-0001.csv"], ["s3://b/b/part-0001.csv"]]},
                "same name 'cmdb-part-0001': 's3://b/a/part-0001.csv' and 's3://b/b/part-0001.csv'.*map this task",
            ),
            ({"import_url": ["s3://b/1.csv"], "client_request_token": "t"}, "client_request_token belongs to one"),
            ({"import_url": ["s3://b/1.csv"], "name": "n" * 254}, "would have 256 characters.*at most 255.*'1'"),
            ({"import_url": ["s3://b/1.csv"], "name": " "}, "name must be a string of 1 to 255 characters"),
            ({"import_url": ["s3://b/1.csv", None]}, "a scheme, a bucket and an object.*got None"),
            ({"import_url": "['s3://b/1.csv']"}, r"a list that Jinja rendered as a string: pass the task's \.output"),
            ({"import_url": "['s3://b/1.csv', 's3://b/2.csv']"}, "set render_template_as_native_obj=True in the Dag"),
            ({"import_url": [["['s3://b/1.csv', 's3://b/2.csv']"]]}, "set render_template_as_native_obj=True"),
            ({"import_url": [f"s3://b/{number}.csv" for number in range(1001)]}, "at most 1,000 files; got 1,001"),
        ],
        ids=[
            *("duplicate", "equal names", "token", "long name", "blank name", "no URL"),
            *("rendered list of one", "rendered list", "rendered list in a list", "too many"),
        ],
    )
    @pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
    def test_a_bad_list_is_refused_before_any_call(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        arguments: dict[str, Any],
        message: str,
        mode: dict[str, Any],
    ) -> None:
        run = run_task(operator(**{"import_url": "", **arguments, **mode}), monkeypatch)
        assert isinstance(run.error, ValueError)
        assert re.search(message, str(run.error))
        assert not aws_default.calls()


class TestDeferral:
    def test_all_settings_reach_the_hook_and_the_trigger(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = {"aws_conn_id": "my_aws", "region_name": "eu-west-1", "verify": "/etc/ssl/my-bundle.pem"}
        config: Any = {"read_timeout": 7}
        task = operator("s3://bucket/key", **WAITS["deferrable"], **settings, botocore_config=config)
        hook: Any = task.hook
        assert [hook.aws_conn_id, hook._region_name, hook._verify] == list(settings.values())
        assert hook._config.read_timeout == 7
        monkeypatch.setattr(
            AdsHook, "start_import_task", lambda *_: ImportTask(import_task_id=ID, status="IMPORT_IN_PROGRESS")
        )
        run = run_task(task, monkeypatch, deferral_failure=TRIGGER_CRASHED)
        arguments = {"import_task_ids": [ID], "poll_interval": 0.02, "deadline": None, "botocore_config": config}
        assert run.deferrals == [{**arguments, **settings}]

    def test_the_execution_timeout_is_the_deadline(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.import_seconds = 60
        started = datetime.now(UTC) - timedelta(seconds=100)
        task = operator(inventory, execution_timeout=timedelta(seconds=102), **WAITS["deferrable"])
        run = run_task(task, monkeypatch, start_date=started)
        assert run.state == "up_for_retry"
        assert "keeps running at AWS" in str(run.error)
        # Airflow 2 needs time to start a worker before the timeout.
        margin = 0 if AIRFLOW_V_3_0_PLUS else 51
        assert run.deferrals[0]["deadline"] == started.timestamp() + 102 - margin
        (timeout,) = run.deferral_timeouts
        assert timeout is not None
        assert DEFERRAL_GRACE < timeout.total_seconds() + margin <= DEFERRAL_GRACE + 2

    @pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="Airflow 3 lets a task resume after its execution_timeout")
    def test_the_margin_on_airflow_2_is_at_most_a_minute(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started = datetime.now(UTC)
        task = operator(inventory, execution_timeout=timedelta(hours=6), **WAITS["deferrable"])
        aws_default.import_seconds = 0.5
        run = run_task(task, monkeypatch, start_date=started)
        assert run.deferrals[0]["deadline"] == started.timestamp() + 6 * 3600 - RESUMPTION_MARGIN

    @pytest.mark.parametrize("own_token", [None, "my-token"])
    def test_an_import_that_ended_while_no_triggerer_ran_counts(
        self, aws_default: AdsEmulator, inventory: str, own_token: str | None
    ) -> None:
        aws_default.import_seconds = 0.1
        AdsHook().start_import_task("cmdb", inventory, "the token of another import of that name")
        started = datetime.now(UTC)
        task = operator(inventory, client_request_token=own_token, **WAITS["deferrable"])
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(context_of(task, run_started=started))
        while aws_default.import_tasks()[-1]["status"] == "IMPORT_IN_PROGRESS":
            pass
        result = task.resume_execution("__fail__", TRIGGER_TIMED_OUT, context_of(task, run_started=started))
        assert result == deferred.value.trigger.import_task_ids[0]

    @pytest.mark.parametrize("forgotten", [0, 1])
    def test_files_count_together_if_their_imports_ended_while_no_triggerer_ran(
        self, aws_default: AdsEmulator, parts: list[str], monkeypatch: pytest.MonkeyPatch, forgotten: int
    ) -> None:
        aws_default.import_seconds = 0.05
        started = datetime.now(UTC)
        task = operator(parts, **WAITS["deferrable"])
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(context_of(task, run_started=started))
        while aws_default.import_tasks()[-1]["status"] == "IMPORT_IN_PROGRESS":
            pass
        del aws_default._tasks._tasks[:forgotten]
        context = context_of(task, run_started=started)
        if forgotten:
            with pytest.raises(ImportWaitTimeout):
                task.resume_execution("__fail__", TRIGGER_TIMED_OUT, context)
        else:
            result = task.resume_execution("__fail__", TRIGGER_TIMED_OUT, context)
            assert result == deferred.value.trigger.import_task_ids

    def test_only_the_main_thread_reads_the_result_of_a_mapped_task(
        self, aws_default: AdsEmulator, parts: list[str]
    ) -> None:
        started = datetime.now(UTC)
        task = operator(ResultOfMappedTask(parts), **WAITS["deferrable"])
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(context_of(task, run_started=started))
        while aws_default.import_tasks()[-1]["status"] == "IMPORT_IN_PROGRESS":
            pass
        # Each process renders import_url again.
        task = operator(ResultOfMappedTask(parts), **WAITS["deferrable"])
        result = task.resume_execution("__fail__", TRIGGER_TIMED_OUT, context_of(task, run_started=started))
        assert result == deferred.value.trigger.import_task_ids

    @pytest.mark.parametrize("wait", WAITS)
    def test_an_import_that_ends_after_the_last_poll_counts(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, wait: str
    ) -> None:
        aws_default.import_seconds = 0.1
        monkeypatch.setattr(waiting, "LAST_POLL_MARGIN", 0.5)
        monkeypatch.setattr(waiting, "RESUMPTION_MARGIN", 0)
        task = operator(inventory, poll_interval=60, execution_timeout=timedelta(seconds=2), **WAITS[wait])
        assert run_task(task, monkeypatch).state == "success"

    @pytest.mark.parametrize("failure", [TRIGGER_CRASHED, TRIGGER_TIMED_OUT], ids=["crashed", "timed out"])
    def test_a_failed_deferral_is_explained(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, failure: dict[str, Any]
    ) -> None:
        aws_default.import_seconds = 60
        run = run_task(operator(inventory, **WAITS["deferrable"]), monkeypatch, deferral_failure=failure)
        assert run.state == "up_for_retry"
        assert re.match("See the log above, and run the task again|Allow more time, with a sensor", str(run.error))

    def test_the_result_needs_nothing_but_the_event(self, aws_default: AdsEmulator) -> None:
        task = operator("s3://bucket/key", **WAITS["deferrable"])
        event = {"status": "finished", "tasks": [{"importTaskId": ID, "status": "IMPORT_COMPLETE"}]}
        assert task.execute_complete(context_of(task), event) == ID
        assert not aws_default.calls()


class TestConstructor:
    def test_it_uses_neither_the_network_nor_a_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(AdsHook, "__init__", lambda *_, **__: pytest.fail("a hook was built"))
        operator("{{ params.url }}", aws_conn_id="no_such_connection")

    def test_name_url_token_limit_and_connection_are_templated(self) -> None:
        assert set(AdsStartImportTaskOperator.template_fields) == {
            "name",
            "import_url",
            "client_request_token",
            "max_failed_records",
            "aws_conn_id",
            "region_name",
            "verify",
        }

    @pytest.mark.parametrize("arguments", [{"poll_interval": 0}, {"max_failed_records": -1}])
    def test_a_bad_argument_is_refused(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"must be (more than 0 seconds|a whole number of 0 or more)"):
            operator("s3://bucket/key", **arguments)
