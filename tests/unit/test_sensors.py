from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from airflow_provider_ads import waiting
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.sensors import AdsImportTaskSensor
from airflow_provider_ads.triggers import DEFERRAL_GRACE
from airflow_provider_ads.version_compat import AirflowFailException, AirflowSensorTimeout
from tests.support.task_runs import (
    TRIGGER_CRASHED,
    TRIGGER_TIMED_OUT,
    Run,
    TaskDeferred,
    at_the_second_poll,
    context_of,
    event_at_the_deadline,
    run_task,
)

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
UNKNOWN_ID = "import-task-" + "f" * 32

RunSensor = Callable[..., Run]


def sensor(import_task_id: Any = None, **arguments: Any) -> AdsImportTaskSensor:
    # In poke mode, botocore's own retries would slow these tests down.
    once = {"retries": {"total_max_attempts": 1}}
    defaults = {"poke_interval": 0.02, "timeout": 60, "retries": 2, "botocore_config": once}
    return AdsImportTaskSensor(**{"task_id": "wait", "import_task_id": import_task_id, **defaults, **arguments})


@pytest.fixture(params=MODES.values(), ids=list(MODES))
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture
def run(aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]) -> RunSensor:
    """Run a sensor with these arguments in each mode; ``wait`` runs the trigger of a deferrable one."""
    return lambda import_task_id=None, wait=None, **arguments: run_task(
        sensor(import_task_id, **arguments, **mode), monkeypatch, wait=wait
    )


@pytest.fixture
def until_timeout(aws_default: AdsEmulator, mode: dict[str, Any]) -> dict[str, Any]:
    """Arguments with which ``run`` polls more than once and then times out."""
    deadline = {"timeout": 40, "wait": partial(event_at_the_deadline, aws_default)}
    return deadline if "deferrable" in mode else {"timeout": 1}


@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize(
    ("end", "state"),
    [
        ("IMPORT_COMPLETE", "success"),
        ("IMPORT_COMPLETE_WITH_ERRORS", "failed"),
        ("INTERNAL_ERROR", "failed"),
        ("DELETE_COMPLETE", "failed"),
        ("timeout", "failed"),
        ("timeout in an outage", "failed"),
        ("IMPORT_COMPLETE after malformed answers", "success"),
        ("IMPORT_OF_THE_FUTURE", "up_for_retry"),
        ("refused call", "up_for_retry"),
    ],
)
def test_the_outcome_is_the_same_in_every_mode_and_by_id_and_name(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, end: str, state: str, soft_fail: bool
) -> None:
    import_task_id = aws_default.add_import_task(name="cmdb")
    changes: dict[str, Callable[[], None]] = {
        "timeout": lambda: None,
        "timeout in an outage": lambda: aws_default.inject("ThrottlingException"),
        "refused call": lambda: aws_default.inject("AuthorizationErrorException"),
        "IMPORT_COMPLETE after malformed answers": lambda: complete("malformed"),
    }
    status = end.partition(" ")[0]

    def complete(fault: str | None = None) -> None:
        if fault:
            aws_default.inject(fault, calls=4)
        aws_default.update_import_task(import_task_id, status=status)

    change = changes.get(end, complete)
    runs = []
    for subject in ({"import_task_id": import_task_id}, {"name": "cmdb"}):
        for mode in MODES.values():
            aws_default.clear_faults()
            aws_default.update_import_task(import_task_id, status="IMPORT_IN_PROGRESS")
            timeout = 0.4 if end.startswith("timeout") else 60
            task = sensor(timeout=timeout, soft_fail=soft_fail, **subject, **mode)
            with at_the_second_poll(aws_default, change):
                runs.append(run_task(task, monkeypatch))
            assert len(runs[-1].deferrals) == int("deferrable" in mode)
    assert [run.state for run in runs] == ["skipped" if soft_fail and state == "failed" else state] * 6
    assert all(run.result == runs[0].result for run in runs)
    assert all(run.xcoms == runs[0].xcoms for run in runs if run.xcoms)
    assert all(run.links for run in runs)
    assert end.startswith("timeout") or all("Timed out" not in str(run.error) for run in runs)
    assert {value["status"] for run in runs for _, value in run.pushes[:1]} == {"IMPORT_IN_PROGRESS"}
    if end.startswith(("timeout", "refused")):
        # Airflow clears the XComs of a sensor in reschedule mode before each poke.
        assert all(run.xcoms for run in runs if not run.task.reschedule)
        assert runs[0].xcoms["import_task"]["status"] == "IMPORT_IN_PROGRESS"
    else:
        assert all(run.xcoms for run in runs)
        assert runs[0].xcoms["import_task"]["status"] == status
        assert runs[0].result == (runs[0].xcoms["import_task"] if state == "success" else None)


class TestInEveryMode:
    def test_several_ids_return_a_list_in_the_given_order(self, aws_default: AdsEmulator, run: RunSensor) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(2)]
        running = aws_default.add_import_task()
        with at_the_second_poll(aws_default, lambda: aws_default.update_import_task(running, status="IMPORT_COMPLETE")):
            several = run([ids[1], running, ids[0]])
        assert [summary["importTaskId"] for summary in several.result] == [ids[1], running, ids[0]]
        assert several.xcoms == {"import_task": several.result}
        assert run((ids[0],)).result == several.result[2:]

    def test_one_error_is_a_table_of_all_imports_the_failed_ones_first(
        self, aws_default: AdsEmulator, run: RunSensor
    ) -> None:
        good = aws_default.add_import_task(status="IMPORT_COMPLETE")
        bad = aws_default.add_import_task(status="IMPORT_COMPLETE_WITH_ERRORS", serverImportFailure=2, name="part 2")
        running = aws_default.add_import_task()
        with at_the_second_poll(aws_default, lambda: aws_default.update_import_task(running, status="IMPORT_FAILED")):
            failed = run([good, bad, running])
        assert failed.state == "failed"
        *advice, total, first, second, third = str(failed.error).splitlines()
        assert [line.split()[0] for line in advice] == ["Correct", "Check"]
        assert total == "1 of 3 imports succeeded: 0 imported, 2 failed"
        assert first.split() == ["IMPORT_COMPLETE_WITH_ERRORS", "0", "imported", "2", "failed", "part", "2", bad]
        assert second.startswith("IMPORT_FAILED ")
        assert second.endswith(running)
        assert third.endswith(good)
        assert [summary["importTaskId"] for summary in failed.xcoms["import_task"]] == [good, bad, running]

    def test_the_limit_of_failed_records_applies_to_each_import(self, aws_default: AdsEmulator, run: RunSensor) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE", serverImportFailure=2) for _ in range(2)]
        states = [run(ids, max_failed_records=limit).state for limit in (2, 1, None)]
        assert states == ["success", "failed", "success"]

    def test_a_rendered_limit_counts_like_a_number(self, aws_default: AdsEmulator, run: RunSensor) -> None:
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE", serverImportFailure=2)
        states = [run(import_task_id, max_failed_records=limit).state for limit in ("2", "1", "None")]
        assert states == ["success", "failed", "success"]

    def test_without_do_xcom_push_nothing_is_pushed(self, aws_default: AdsEmulator, run: RunSensor) -> None:
        running = aws_default.add_import_task()
        with at_the_second_poll(aws_default, lambda: aws_default.update_import_task(running, status="IMPORT_COMPLETE")):
            ended = run(running, do_xcom_push=False)
        assert (ended.state, ended.pushes) == ("success", [])

    @pytest.mark.parametrize("as_list", [False, True])
    def test_the_running_import_is_pushed_in_the_shape_of_the_result(
        self, aws_default: AdsEmulator, run: RunSensor, as_list: bool
    ) -> None:
        running = aws_default.add_import_task()
        with at_the_second_poll(aws_default, lambda: aws_default.update_import_task(running, status="IMPORT_COMPLETE")):
            ended = run([running] if as_list else running)
        pushed = [value[0] if as_list else value for key, value in ended.pushes if key == "import_task"]
        assert [pushed[0]["status"], pushed[-1]["status"]] == ["IMPORT_IN_PROGRESS", "IMPORT_COMPLETE"]
        assert ended.xcoms == {"import_task": ended.result}

    @pytest.mark.parametrize("soft_fail", [False, True])
    def test_a_timeout_contains_the_last_status(
        self,
        aws_default: AdsEmulator,
        run: RunSensor,
        capsys: pytest.CaptureFixture[str],
        until_timeout: dict[str, Any],
        soft_fail: bool,
    ) -> None:
        import_task_id = aws_default.add_import_task(name="cmdb")
        aws_default.inject("ThrottlingException", calls=1)
        error = run(import_task_id, **until_timeout, soft_fail=soft_fail).error
        assert isinstance(error, AirflowSensorTimeout) is not soft_fail
        assert "The last poll failed" not in str(error)
        words = "Allow more time, with a sensor's timeout or an operator's execution_timeout. The import keeps running"
        logged = capsys.readouterr().out
        # Airflow shows the message of a failure, but not that of a skip.
        message, other = (logged, str(error)) if soft_fail else (str(error), logged)
        assert words in message
        assert "Last status: IMPORT_IN_PROGRESS: " in message
        assert f"('cmdb', {import_task_id})" in message
        assert words not in other

    @pytest.mark.parametrize(
        ("subject", "words"),
        [
            ({"import_task_id": UNKNOWN_ID}, f"Last status: not known ({UNKNOWN_ID})."),
            ({"name": "cmdb"}, "it is not known if there is such an import"),
        ],
        ids=["id", "name"],
    )
    def test_a_timeout_in_an_outage_contains_the_last_error(
        self,
        aws_default: AdsEmulator,
        run: RunSensor,
        until_timeout: dict[str, Any],
        subject: dict[str, str],
        words: str,
    ) -> None:
        aws_default.inject("ThrottlingException")
        error = run(**subject, **until_timeout).error
        assert isinstance(error, AirflowSensorTimeout)
        assert words in str(error)
        assert "The last poll failed: Try again later" in str(error)

    def test_an_unknown_import_follows_the_retries(self, run: RunSensor) -> None:
        unknown = run(UNKNOWN_ID, soft_fail=True)
        assert unknown.state == "up_for_retry"
        assert f"Import task not found in us-west-2: {UNKNOWN_ID}" in str(unknown.error)

    def test_a_bad_rendered_limit_is_refused_before_any_call(self, aws_default: AdsEmulator, run: RunSensor) -> None:
        with pytest.raises(ValueError, match="max_failed_records must be a whole number of 0 or more"):
            raise run(UNKNOWN_ID, max_failed_records="many").error or AssertionError
        assert not aws_default.calls()

    @pytest.mark.parametrize(
        ("field", "rendered", "rule"),
        [
            ("import_task_id", [], "empty list"),
            ("import_task_id", "import-task-1", "32 hexadecimal digits"),
            ("name", None, "name must be a string of 1 to 255 characters"),
        ],
    )
    def test_a_bad_id_or_name_is_refused_before_any_call(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        mode: dict[str, Any],
        field: str,
        rendered: Any,
        rule: str,
    ) -> None:
        task = sensor(**{field: "{{ template }}"}, **mode)
        setattr(task, field, rendered)
        with pytest.raises(ValueError, match=rule):
            raise run_task(task, monkeypatch).error or AssertionError
        assert not aws_default.calls()


def long_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


class TestName:
    """The sensor waits for the newest import with a name, which might not exist yet."""

    def test_it_waits_until_the_import_exists_and_has_ended(self, aws_default: AdsEmulator, run: RunSensor) -> None:
        aws_default.add_import_task(name="CMDB", status="IMPORT_FAILED")
        aws_default.add_import_task(name="cmdb-2", status="IMPORT_FAILED")
        ids: list[str] = []

        def appear_and_end() -> None:
            ids.append(aws_default.add_import_task(name="cmdb"))
            with at_the_second_poll(
                aws_default, lambda: aws_default.update_import_task(ids[0], status="IMPORT_COMPLETE")
            ):
                deadline = time.monotonic() + 30
                while aws_default.import_tasks()[-1]["status"] != "IMPORT_COMPLETE" and time.monotonic() < deadline:
                    time.sleep(0.01)

        with at_the_second_poll(aws_default, appear_and_end):
            ended = run(name="cmdb")
        assert (ended.state, ended.result["importTaskId"]) == ("success", ids[0])

    def test_the_newest_import_counts_even_if_it_ended_long_ago(self, aws_default: AdsEmulator, run: RunSensor) -> None:
        newest = aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE", importRequestTime=long_ago(1))
        aws_default.add_import_task(name="cmdb", status="IMPORT_FAILED", importRequestTime=long_ago(2))
        assert run(name="cmdb").result["importTaskId"] == newest
        assert aws_default.calls()["DescribeImportTasks"] == 1

    def test_a_newer_import_replaces_the_older_one(self, aws_default: AdsEmulator, run: RunSensor) -> None:
        older = aws_default.add_import_task(name="cmdb", importRequestTime=long_ago(1))
        with at_the_second_poll(
            aws_default, lambda: aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")
        ):
            assert run(name="cmdb").result["importTaskId"] != older

    @pytest.mark.parametrize("soft_fail", [False, True])
    def test_a_timeout_without_an_import_says_what_to_check(
        self, aws_default: AdsEmulator, run: RunSensor, capsys: pytest.CaptureFixture[str], soft_fail: bool
    ) -> None:
        aws_default.add_import_task(name="CMDB")
        timed_out = run(name="cmdb", timeout=0.3, soft_fail=soft_fail)
        assert timed_out.state == ("skipped" if soft_fail else "failed")
        words = (
            "Check that name is exactly the import's name, that region_name is the Migration Hub home region in which "
            "it is started, and that aws_conn_id is for the same account: no such import was listed.\n"
            "Timed out waiting for an import named 'cmdb' in us-west-2."
        )
        assert (words in capsys.readouterr().out) is soft_fail
        assert (str(timed_out.error) == words) is not soft_fail

    def test_it_keeps_waiting_through_an_outage(self, aws_default: AdsEmulator, run: RunSensor) -> None:
        aws_default.inject("ThrottlingException", calls=3)
        aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")
        assert run(name="cmdb").state == "success"

    def test_the_trigger_receives_the_name_and_the_listed_import(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []
        for _ in range(2):
            run = run_task(sensor(name="cmdb", deferrable=True), monkeypatch, deferral_failure=TRIGGER_CRASHED)
            assert run.deferrals[0].items() >= {"name": "cmdb", "import_task_ids": seen}.items()
            assert "waited for the newest import named 'cmdb' crashed" in str(run.error)
            seen = [aws_default.add_import_task(name="cmdb")]

    def test_an_import_that_the_worker_saw_is_in_the_timeout(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import_task_id = aws_default.add_import_task(name="cmdb")
        # The wait times out before the triggerer's first poll.
        run = run_task(sensor(name="cmdb", deferrable=True, timeout=0.1, poke_interval=60), monkeypatch)
        assert "Last status: IMPORT_IN_PROGRESS: " in str(run.error)
        assert import_task_id in str(run.error)


def test_an_iterator_of_ids_is_read_once(aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    import_task_id = aws_default.add_import_task()
    with at_the_second_poll(
        aws_default, lambda: aws_default.update_import_task(import_task_id, status="IMPORT_COMPLETE")
    ):
        assert run_task(sensor(iter([import_task_id])), monkeypatch).state == "success"


class TestDeferral:
    @pytest.mark.parametrize(
        "settings",
        [
            {
                "aws_conn_id": "my_aws",
                "region_name": "eu-west-1",
                "verify": "/etc/ssl/my-bundle.pem",
                "botocore_config": {"read_timeout": 7},
            },
            {"aws_conn_id": None, "region_name": None, "verify": None, "botocore_config": None},
        ],
        ids=["all set", "all None"],
    )
    def test_all_settings_reach_the_hook_and_the_trigger(
        self, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
    ) -> None:
        task = sensor(UNKNOWN_ID, deferrable=True, poke_interval=30, timeout=3600, **settings)
        assert (task.hook.aws_conn_id, task.hook._region_name, task.hook._verify) == tuple(settings.values())[:3]
        config: Any = task.hook._config
        assert (config and config.read_timeout) == (settings["botocore_config"] and 7)
        running = ImportTask(import_task_id=UNKNOWN_ID, status="IMPORT_IN_PROGRESS")
        monkeypatch.setattr(AdsHook, "get_import_tasks", lambda *_: [running])
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
        monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
        run = run_task(task, monkeypatch, deferral_failure=TRIGGER_CRASHED)
        assert run.deferral_timeouts == [timedelta(seconds=3600 + DEFERRAL_GRACE)]
        assert run.deferrals == [
            {"import_task_ids": [UNKNOWN_ID], "poll_interval": 30.0, "deadline": 1_003_600.0, **settings}
        ]

    def test_a_transient_error_of_the_first_poll_is_left_to_the_triggerer(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.inject("ThrottlingException", calls=1)
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        run = run_task(sensor(import_task_id, deferrable=True), monkeypatch)
        assert (run.state, len(run.deferrals)) == ("success", 1)

    def test_an_unexpected_event_is_refused(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        task = sensor(aws_default.add_import_task(), deferrable=True, timeout=0.2, soft_fail=True)
        run = run_task(task, monkeypatch, on_event=lambda event: {"status": "success"})
        assert run.state == "up_for_retry"
        assert isinstance(run.error, AdsCallError)

    def test_a_crashed_trigger_follows_the_retries(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = sensor(aws_default.add_import_task(), deferrable=True, soft_fail=True)
        assert run_task(task, monkeypatch, deferral_failure=TRIGGER_CRASHED).state == "up_for_retry"

    @pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
    @pytest.mark.parametrize(
        ("subject", "words"),
        [({"import_task_id": UNKNOWN_ID}, UNKNOWN_ID), ({"name": "cmdb"}, "it is not known if there is such")],
        ids=["id", "name"],
    )
    def test_airflows_own_limit_on_the_deferral_is_a_timeout(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        subject: dict[str, str],
        words: str,
        soft_fail: bool,
        state: str,
    ) -> None:
        aws_default.add_import_task(importTaskId=UNKNOWN_ID)
        task = sensor(**subject, deferrable=True, soft_fail=soft_fail)
        run = run_task(task, monkeypatch, deferral_failure=TRIGGER_TIMED_OUT)
        assert run.state == state
        message = capsys.readouterr().out if soft_fail else str(run.error)
        assert words in message
        assert "no triggerer has answered in time" in message

    def test_the_result_needs_nothing_but_the_event(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task()
        task = sensor(import_task_id, deferrable=True)
        event = {"status": "finished", "tasks": [{"importTaskId": import_task_id, "status": "IMPORT_COMPLETE"}]}
        assert task.execute_complete(context_of(task), event)["status"] == "IMPORT_COMPLETE"
        assert not aws_default.calls()

    @pytest.mark.parametrize("subject", [{"import_task_id": UNKNOWN_ID}, {"name": "cmdb"}], ids=["id", "name"])
    def test_an_import_that_ended_while_no_triggerer_ran_counts(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, subject: dict[str, str]
    ) -> None:
        aws_default.add_import_task(importTaskId=UNKNOWN_ID, name="cmdb")
        task = sensor(**subject, deferrable=True)
        with pytest.raises(TaskDeferred):
            task.execute(context_of(task))
        aws_default.update_import_task(UNKNOWN_ID, status="IMPORT_COMPLETE")
        result = task.resume_execution("__fail__", TRIGGER_TIMED_OUT, context_of(task))
        assert result["status"] == "IMPORT_COMPLETE"

    def test_an_outage_at_the_last_poll_is_a_timeout_and_calls_aws_no_further(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.inject("ThrottlingException")
        task = sensor(name="cmdb", deferrable=True)
        with pytest.raises(AirflowSensorTimeout, match="The last poll failed: no triggerer has answered in time"):
            task.resume_execution("__fail__", TRIGGER_TIMED_OUT, context_of(task))
        assert aws_default.calls() == {"DescribeImportTasks": 1}

    def test_a_refused_last_poll_is_an_error_and_never_skipped(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("AuthorizationErrorException")
        task = sensor(name="cmdb", deferrable=True, soft_fail=True)
        with pytest.raises(AdsCallError, match=r"^Allow discovery:DescribeImportTasks"):
            task.resume_execution("__fail__", TRIGGER_TIMED_OUT, context_of(task))

    def test_a_last_poll_that_hangs_does_not_keep_the_task_from_ending(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.add_import_task(importTaskId=UNKNOWN_ID, status="IMPORT_COMPLETE")
        monkeypatch.setattr(waiting, "LAST_POLL_SECONDS", 0.1)
        aws_default.inject("hold")
        event = {"status": "timeout", "tasks": [{"importTaskId": UNKNOWN_ID}], "error": None}
        task = sensor(UNKNOWN_ID, deferrable=True)
        with pytest.raises(AirflowSensorTimeout, match="TimeoutError: no answer within 0 seconds"):
            task.execute_complete(context_of(task), event)


def test_missing_credentials_fail_the_first_poll(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
) -> None:
    aws_default.inject("ExpiredTokenException", status=400)
    run = run_task(sensor(UNKNOWN_ID, **mode), monkeypatch)
    assert run.state == "up_for_retry"
    assert "ExpiredTokenException" in str(run.error)
    assert aws_default.calls()["DescribeImportTasks"] == 2  # with the same credentials, read again


class TestConstructor:
    def test_it_uses_neither_the_network_nor_a_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(AdsHook, "__init__", lambda *_, **__: pytest.fail("a hook was built"))
        sensor("{{ ti.xcom_pull('start') }}", aws_conn_id="no_such_connection")

    def test_id_name_limit_and_connection_are_templated(self) -> None:
        templated = {"import_task_id", "name", "max_failed_records", "aws_conn_id", "region_name", "verify"}
        assert set(AdsImportTaskSensor.template_fields) == templated

    @pytest.mark.parametrize(
        ("arguments", "rule"),
        [
            ({"import_task_id": None}, "either import_task_id, .* or name, .*; got neither"),
            ({"name": "cmdb"}, "either import_task_id, .* or name, .*; got both"),
            # Airflow treats these two differently in each mode.
            ({"never_fail": True}, "Use soft_fail"),
            ({"silent_fail": True}, "Use soft_fail"),
            ({"max_failed_records": -1}, "max_failed_records"),
            ({"poke_interval": timedelta(0)}, "more than 0 seconds"),
        ],
    )
    def test_invalid_arguments_are_refused(self, arguments: dict[str, Any], rule: str) -> None:
        with pytest.raises(ValueError, match=rule):
            sensor(**{"import_task_id": UNKNOWN_ID, **arguments})

    def test_every_argument_can_be_mapped(self) -> None:
        mapped: Any = AdsImportTaskSensor.partial(
            task_id="wait", max_failed_records=1, deferrable=True, region_name="us-west-2", poke_interval=5
        ).expand(import_task_id=[UNKNOWN_ID])
        assert mapped.partial_kwargs["max_failed_records"] == 1


def test_airflow_2_does_not_warn_about_a_nested_execute(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_task(sensor(aws_default.add_import_task(status="IMPORT_COMPLETE")), monkeypatch)
    # Once, because the test itself does not run on a worker.
    assert capsys.readouterr().out.count("execute cannot be called outside") == 1


def test_a_failure_is_final_and_caused_by_the_outcome(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_task(sensor(aws_default.add_import_task(status="INTERNAL_ERROR")), monkeypatch)
    assert isinstance(run.error, AirflowFailException)
    assert json.dumps(run.error.__context__.import_tasks)  # type: ignore[union-attr]
