from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest

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
    at_the_second_poll,
    context_of,
    run_task,
)

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
IMPORT_STATUS: Any = botocore.session.get_session().get_service_model("discovery").shape_for("ImportStatus")
UNKNOWN_ID = "import-task-" + "f" * 32


def sensor(import_task_id: Any, **arguments: Any) -> AdsImportTaskSensor:
    return AdsImportTaskSensor(
        **{"task_id": "wait", "import_task_id": import_task_id, "poke_interval": 0.02, "retries": 2, **arguments}
    )


class TestModes:
    """The outcome is the same in poke, reschedule and deferrable mode."""

    def test_every_outcome_is_the_same_in_every_mode(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ends = [
            *IMPORT_STATUS.enum,
            "IMPORT_OF_THE_FUTURE",
            "time runs out in an outage",
            "authorization error",
            "crash",
        ]
        table: dict[tuple[str, bool], dict[str, str]] = {}
        for end in ends:
            for soft_fail in (False, True):
                row = table[end, soft_fail] = {}
                results = []
                for mode, arguments in MODES.items():
                    run = self.run_to(end, aws_default, monkeypatch, soft_fail=soft_fail, **arguments)
                    results.append((run.result, run.xcoms))
                    row[mode] = run.state
                for result, xcoms in results:
                    assert without_identity(result) == without_identity(results[0][0])
                    assert without_identity(xcoms) == without_identity(results[0][1])
        with capsys.disabled():
            print(f"\n{'end of the wait, retries=2':<38}{'soft_fail':<11}" + "".join(f"{m:<14}" for m in MODES))
            for (end, soft_fail), row in table.items():
                print(f"{end:<38}{soft_fail!s:<11}" + "".join(f"{row[mode]:<14}" for mode in MODES))
        assert all(len(set(row.values())) == 1 for row in table.values())
        assert {key: row["poke"] for key, row in table.items()} == {
            (end, soft_fail): self.expected(end, soft_fail) for end in ends for soft_fail in (False, True)
        }

    @staticmethod
    def expected(end: str, soft_fail: bool) -> str:
        if end in {"IMPORT_COMPLETE"}:
            return "success"
        if end in {"IMPORT_OF_THE_FUTURE", "authorization error", "crash"}:
            return "up_for_retry"
        return "skipped" if soft_fail else "failed"

    @staticmethod
    def run_to(end: str, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Run:
        ads.clear_faults()
        import_task_id = ads.add_import_task(name="cmdb", importUrl="s3://inventory/cmdb.csv")
        changes: dict[str, Callable[[], Any]] = {
            "time runs out in an outage": lambda: ads.inject("ThrottlingException"),
            "authorization error": lambda: ads.inject("AuthorizationErrorException"),
            "crash": lambda: None,
        }
        change = changes.get(end, lambda: ads.update_import_task(import_task_id, status=end))
        runs_out = end in {"IMPORT_IN_PROGRESS", "time runs out in an outage"}
        task = sensor(
            import_task_id,
            timeout=0.4 if runs_out else 60,
            # botocore's own retries in poke mode would take longer than this test wants to wait.
            botocore_config={"retries": {"total_max_attempts": 1}},
            **arguments,
        )
        with monkeypatch.context() as patch:
            if end == "crash":
                get_import_tasks = AdsHook.get_import_tasks
                polls: list[Any] = []

                def crash(self: AdsHook, ids: Any) -> Any:
                    polls.append(ids)
                    if len(polls) > 1:
                        raise RuntimeError("boom")
                    return get_import_tasks(self, ids)

                patch.setattr(AdsHook, "get_import_tasks", crash)
            with at_the_second_poll(ads, change):
                run = run_task(task, patch, deferral_failure=TRIGGER_CRASHED if end == "crash" else None)
        assert len(run.deferrals) == (1 if arguments.get("deferrable") else 0)
        return run


def without_identity(value: Any) -> Any:
    """Return a result without the values that differ between imports."""
    if isinstance(value, dict):
        return {
            key: without_identity(item)
            for key, item in value.items()
            if key not in {"importTaskId", "importRequestTime", "importCompletionTime"}
        }
    return value


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
class TestResult:
    def test_one_id_returns_a_summary(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        import_task_id = aws_default.add_import_task(name="cmdb", serverImportSuccess=3)
        with at_the_second_poll(
            aws_default, lambda: aws_default.update_import_task(import_task_id, status="IMPORT_COMPLETE")
        ):
            run = run_task(sensor(import_task_id, **mode), monkeypatch)
        assert run.result["importTaskId"] == import_task_id
        assert run.result["serverImportSuccess"] == 3
        assert run.xcoms == {"import_task": run.result}

    def test_several_ids_return_a_list_in_the_given_order(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(2)]
        running = aws_default.add_import_task()
        with at_the_second_poll(aws_default, lambda: aws_default.update_import_task(running, status="IMPORT_COMPLETE")):
            run = run_task(sensor([ids[1], running, ids[0]], **mode), monkeypatch)
        assert [summary["importTaskId"] for summary in run.result] == [ids[1], running, ids[0]]
        assert run.xcoms == {"import_task": run.result}

    def test_a_list_of_one_id_returns_a_list_of_one(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        run = run_task(sensor((import_task_id,), **mode), monkeypatch)
        assert [summary["importTaskId"] for summary in run.result] == [import_task_id]

    def test_one_error_lists_every_failed_import(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        good = aws_default.add_import_task(status="IMPORT_COMPLETE")
        bad = aws_default.add_import_task(status="IMPORT_COMPLETE_WITH_ERRORS", serverImportFailure=2, name="part 2")
        running = aws_default.add_import_task()
        with at_the_second_poll(aws_default, lambda: aws_default.update_import_task(running, status="IMPORT_FAILED")):
            run = run_task(sensor([good, bad, running], **mode), monkeypatch)
        assert run.state == "failed"
        message = str(run.error)
        assert all(part in message for part in (bad, "part 2", "servers failed 2", running, "IMPORT_FAILED"))
        assert good not in message
        assert [summary["importTaskId"] for summary in run.xcoms["import_task"]] == [good, bad, running]

    def test_the_limit_of_failed_records_applies_to_each_import(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE", serverImportFailure=2) for _ in range(2)]
        assert run_task(sensor(ids, max_failed_records=2, **mode), monkeypatch).state == "success"
        assert run_task(sensor(ids, max_failed_records=1, **mode), monkeypatch).state == "failed"
        assert run_task(sensor(ids, max_failed_records=None, **mode), monkeypatch).state == "success"

    def test_without_do_xcom_push_nothing_is_pushed(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        assert run_task(sensor(import_task_id, do_xcom_push=False, **mode), monkeypatch).xcoms == {}

    @pytest.mark.parametrize("soft_fail", [False, True])
    def test_a_timeout_contains_the_last_status(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        mode: dict[str, Any],
        soft_fail: bool,
    ) -> None:
        import_task_id = aws_default.add_import_task(name="cmdb")
        # Long enough for the triggerer to open a client and poll once, even on a busy machine.
        timeout = 6 if "deferrable" in mode else 0.2
        run = run_task(sensor(import_task_id, timeout=timeout, soft_fail=soft_fail, **mode), monkeypatch)
        assert isinstance(run.error, AirflowSensorTimeout) is not soft_fail
        words = f"Last status: {import_task_id} ('cmdb'): IMPORT_IN_PROGRESS"
        assert words in capsys.readouterr().out
        if not soft_fail:
            assert words in str(run.error)

    def test_a_timeout_contains_the_last_error(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        import_task_id = aws_default.add_import_task()
        aws_default.inject("ThrottlingException")
        once = {"retries": {"total_max_attempts": 1}}
        timeout = 6 if "deferrable" in mode else 0.2
        run = run_task(sensor(import_task_id, timeout=timeout, botocore_config=once, **mode), monkeypatch)
        assert f"{import_task_id}: no status" in str(run.error)
        assert "The last poll failed: DescribeImportTasks" in str(run.error)

    def test_an_unknown_import_follows_the_retries(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        run = run_task(sensor(UNKNOWN_ID, soft_fail=True, **mode), monkeypatch)
        assert run.state == "up_for_retry"
        assert f"Import task not found in us-west-2: {UNKNOWN_ID}" in str(run.error)

    @pytest.mark.parametrize(
        ("import_task_id", "rule"),
        [([], "empty list"), ("import-task-1", "32 hexadecimal digits"), (f"['{UNKNOWN_ID}']", r"\.output")],
    )
    def test_bad_ids_are_refused_before_any_call(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        mode: dict[str, Any],
        import_task_id: Any,
        rule: str,
    ) -> None:
        with pytest.raises(ValueError, match=rule):
            raise run_task(sensor(import_task_id, **mode), monkeypatch).error or AssertionError
        assert not aws_default.calls()


def sensor_of(name: Any, **arguments: Any) -> AdsImportTaskSensor:
    # In poke mode, botocore's own retries would slow these tests down.
    once = {"retries": {"total_max_attempts": 1}}
    defaults = {"poke_interval": 0.02, "timeout": 60, "retries": 2, "botocore_config": once}
    return AdsImportTaskSensor(**{"task_id": "wait", "name": name, **defaults, **arguments})


def long_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
class TestName:
    """The sensor waits for the newest import with a name, which might not exist yet."""

    def test_it_waits_until_the_import_exists_and_has_ended(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
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
            run = run_task(sensor_of("cmdb", **mode), monkeypatch)
        assert (run.state, run.result["importTaskId"], run.result["status"]) == ("success", ids[0], "IMPORT_COMPLETE")
        assert run.xcoms == {"import_task": run.result}
        assert run.links
        assert len(run.deferrals) == int("deferrable" in mode)

    def test_the_newest_import_counts_even_if_it_ended_long_ago(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        newest = aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE", importRequestTime=long_ago(1))
        aws_default.add_import_task(name="cmdb", status="IMPORT_FAILED", importRequestTime=long_ago(2))
        run = run_task(sensor_of("cmdb", **mode), monkeypatch)
        assert (run.state, run.result["importTaskId"]) == ("success", newest)
        assert aws_default.calls()["DescribeImportTasks"] == 1

    def test_a_newer_import_replaces_the_older_one(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        aws_default.add_import_task(name="cmdb", importRequestTime=long_ago(1))
        newer: list[str] = []

        def start_another() -> None:
            newer.append(aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE"))

        with at_the_second_poll(aws_default, start_another):
            run = run_task(sensor_of("cmdb", **mode), monkeypatch)
        assert (run.state, run.result["importTaskId"]) == ("success", newer[0])

    @pytest.mark.parametrize("soft_fail", [False, True])
    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("IMPORT_COMPLETE_WITH_ERRORS", "failed"),
            ("DELETE_COMPLETE", "failed"),
            ("IMPORT_OF_THE_FUTURE", "up_for_retry"),
        ],
    )
    def test_a_failed_import_has_the_same_outcome_as_for_an_id(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        mode: dict[str, Any],
        status: str,
        state: str,
        soft_fail: bool,
    ) -> None:
        with at_the_second_poll(aws_default, lambda: aws_default.add_import_task(name="cmdb", status=status)):
            run = run_task(sensor_of("cmdb", soft_fail=soft_fail, **mode), monkeypatch)
        assert run.state == ("skipped" if soft_fail and state == "failed" else state)
        assert run.xcoms["import_task"]["status"] == status

    def test_the_limit_of_failed_records_applies(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE", serverImportFailure=2)
        assert run_task(sensor_of("cmdb", max_failed_records=2, **mode), monkeypatch).state == "success"
        assert run_task(sensor_of("cmdb", max_failed_records=1, **mode), monkeypatch).state == "failed"

    @pytest.mark.parametrize("soft_fail", [False, True])
    def test_a_timeout_without_an_import_says_what_to_check(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        mode: dict[str, Any],
        soft_fail: bool,
    ) -> None:
        aws_default.add_import_task(name="CMDB")
        run = run_task(sensor_of("cmdb", timeout=0.3, soft_fail=soft_fail, **mode), monkeypatch)
        assert run.state == ("skipped" if soft_fail else "failed")
        words = (
            "Timed out waiting for an import named 'cmdb' in us-west-2. No such import was listed. Check that name is "
            "exactly the import's name, that region_name is the Migration Hub home region in which it is started, and "
            "that aws_conn_id is for the same account."
        )
        assert words in capsys.readouterr().out
        if not soft_fail:
            assert str(run.error) == words

    def test_a_timeout_contains_the_last_status(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        import_task_id = aws_default.add_import_task(name="cmdb")
        timeout = 6 if "deferrable" in mode else 0.2
        run = run_task(sensor_of("cmdb", timeout=timeout, **mode), monkeypatch)
        assert f"Last status: {import_task_id} ('cmdb'): IMPORT_IN_PROGRESS. The import keeps running" in str(run.error)

    def test_a_timeout_during_an_outage_does_not_claim_that_there_is_no_import(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        aws_default.inject("ThrottlingException")
        timeout = 6 if "deferrable" in mode else 0.2
        run = run_task(sensor_of("cmdb", timeout=timeout, **mode), monkeypatch)
        assert isinstance(run.error, AirflowSensorTimeout)
        assert "The last poll failed: DescribeImportTasks for imports named 'cmdb' in us-west-2" in str(run.error)
        assert "It could not be determined whether there is such an import" in str(run.error)

    def test_it_keeps_waiting_through_an_outage(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        aws_default.inject("ThrottlingException", calls=3)
        aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")
        assert run_task(sensor_of("cmdb", **mode), monkeypatch).state == "success"

    def test_a_refused_call_follows_the_retries(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
    ) -> None:
        with at_the_second_poll(aws_default, lambda: aws_default.inject("AuthorizationErrorException")):
            run = run_task(sensor_of("cmdb", soft_fail=True, **mode), monkeypatch)
        assert run.state == "up_for_retry"
        assert "DescribeImportTasks for imports named 'cmdb' in us-west-2" in str(run.error)

    @pytest.mark.parametrize("name", ["", " ", "x" * 256, None])
    def test_a_bad_name_is_refused_before_any_call(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any], name: Any
    ) -> None:
        task = sensor_of("{{ rendered }}", **mode)
        task.name = name
        with pytest.raises(ValueError, match="name must be a string of 1 to 255 characters"):
            raise run_task(task, monkeypatch).error or AssertionError
        assert not aws_default.calls()


class TestDeferralByName:
    def test_the_trigger_receives_the_name_the_listed_import_and_all_settings(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_MY_AWS", aws_default.airflow_connection)
        monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
        settings = {"aws_conn_id": "my_aws", "region_name": "us-west-2", "verify": False}
        seen: list[str] = []
        for _ in range(2):
            task = sensor_of("cmdb", deferrable=True, poke_interval=30, timeout=3600, **settings)
            run = run_task(task, monkeypatch, deferral_failure=TRIGGER_CRASHED)
            expected = {"name": "cmdb", "import_task_ids": seen, "poll_interval": 30.0, "deadline": 1_003_600.0}
            assert run.deferrals == [{**expected, **settings, "botocore_config": task.botocore_config}]
            assert run.state == "up_for_retry"
            assert "waited for the newest import named 'cmdb' crashed" in str(run.error)
            seen = [aws_default.add_import_task(name="cmdb")]

    def test_an_import_that_the_worker_saw_is_in_the_timeout(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import_task_id = aws_default.add_import_task(name="cmdb")
        # The wait times out before the triggerer's first poll.
        task = sensor_of("cmdb", deferrable=True, timeout=0.1, poke_interval=60)
        run = run_task(task, monkeypatch)
        assert f"Last status: {import_task_id}: no status" in str(run.error)

    @pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
    def test_airflows_own_limit_on_the_deferral_is_a_timeout(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, soft_fail: bool, state: str
    ) -> None:
        task = sensor_of("cmdb", deferrable=True, soft_fail=soft_fail)
        run = run_task(task, monkeypatch, deferral_failure=TRIGGER_TIMED_OUT)
        assert run.state == state
        assert "no triggerer has answered in time" in str(run.error)
        assert "It could not be determined whether there is such an import" in str(run.error)

    def test_an_import_that_has_ended_is_not_deferred(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")
        run = run_task(sensor_of("cmdb", deferrable=True), monkeypatch)
        assert (run.state, run.deferrals) == ("success", [])


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
        monkeypatch.setattr(AdsHook, "get_import_tasks", lambda *_: [running_task()])
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
        monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
        run = run_task(task, monkeypatch, deferral_failure=TRIGGER_CRASHED)
        assert run.deferral_timeouts == [timedelta(seconds=3600 + DEFERRAL_GRACE)]
        assert run.deferrals == [
            {"import_task_ids": [UNKNOWN_ID], "poll_interval": 30.0, "deadline": 1_003_600.0, **settings}
        ]

    def test_an_import_that_has_ended_is_not_deferred(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        run = run_task(sensor(import_task_id, deferrable=True), monkeypatch)
        assert (run.state, run.deferrals) == ("success", [])

    def test_a_transient_error_of_the_first_poll_is_left_to_the_triggerer(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.inject("ThrottlingException", calls=1)
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        once = {"retries": {"total_max_attempts": 1}}
        run = run_task(sensor(import_task_id, deferrable=True, botocore_config=once), monkeypatch)
        assert (run.state, len(run.deferrals)) == ("success", 1)

    def test_an_unexpected_event_is_refused(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        task = sensor(aws_default.add_import_task(), deferrable=True, timeout=0.2, soft_fail=True)
        run = run_task(task, monkeypatch, on_event=lambda event: {"status": "success"})
        assert run.state == "up_for_retry"
        assert isinstance(run.error, AdsCallError)

    @pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
    def test_airflows_own_limit_on_the_deferral_is_a_timeout(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, soft_fail: bool, state: str
    ) -> None:
        task = sensor(aws_default.add_import_task(), deferrable=True, soft_fail=soft_fail)
        run = run_task(task, monkeypatch, deferral_failure=TRIGGER_TIMED_OUT)
        assert run.state == state
        assert str(task.import_task_id) in str(run.error)

    def test_the_result_needs_nothing_but_the_event(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task()
        task = sensor(import_task_id, deferrable=True)
        event = {"status": "finished", "tasks": [{"importTaskId": import_task_id, "status": "IMPORT_COMPLETE"}]}
        assert task.execute_complete(context_of(task), event)["status"] == "IMPORT_COMPLETE"
        assert not aws_default.calls()


def running_task() -> Any:
    from airflow_provider_ads.discovery.import_task import ImportTask

    return ImportTask(import_task_id=UNKNOWN_ID, status="IMPORT_IN_PROGRESS")


class TestConstructor:
    def test_it_uses_neither_the_network_nor_a_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(AdsHook, "__init__", lambda *_, **__: pytest.fail("a hook was built"))
        sensor("{{ ti.xcom_pull('start') }}", aws_conn_id="no_such_connection")

    def test_id_name_and_connection_are_templated(self) -> None:
        assert set(AdsImportTaskSensor.template_fields) == {
            "import_task_id",
            "name",
            "aws_conn_id",
            "region_name",
            "verify",
        }

    @pytest.mark.parametrize(
        ("arguments", "got"), [({}, "neither"), ({"import_task_id": UNKNOWN_ID, "name": "cmdb"}, "both")]
    )
    def test_it_needs_either_an_id_or_a_name(self, arguments: dict[str, Any], got: str) -> None:
        with pytest.raises(ValueError, match=f"either import_task_id, .* or name, .*; got {got}"):
            AdsImportTaskSensor(task_id="wait", **arguments)

    @pytest.mark.parametrize("argument", ["never_fail", "silent_fail"])
    def test_arguments_that_airflow_treats_differently_in_each_mode_are_refused(self, argument: str) -> None:
        with pytest.raises(ValueError, match="Use soft_fail"):
            sensor(UNKNOWN_ID, **{argument: True})

    @pytest.mark.parametrize("limit", [-1, 0.5, "1"])
    def test_a_bad_limit_is_refused(self, limit: Any) -> None:
        with pytest.raises(ValueError, match="max_failed_records"):
            sensor(UNKNOWN_ID, max_failed_records=limit)

    @pytest.mark.parametrize("interval", [0, timedelta(0)])
    def test_an_interval_of_zero_is_refused(self, interval: Any) -> None:
        with pytest.raises(ValueError, match="more than 0 seconds"):
            sensor(UNKNOWN_ID, poke_interval=interval)

    def test_a_negative_interval_is_refused_by_airflow(self) -> None:
        with pytest.raises(Exception, match="non-negative"):
            sensor(UNKNOWN_ID, poke_interval=-1)

    def test_times_can_be_timedeltas(self) -> None:
        task = sensor(UNKNOWN_ID, poke_interval=timedelta(minutes=1), timeout=timedelta(hours=1))
        assert (task.poke_interval, task.timeout) == (60.0, 3600.0)

    def test_every_argument_can_be_mapped(self) -> None:
        mapped: Any = AdsImportTaskSensor.partial(
            task_id="wait", max_failed_records=1, deferrable=True, region_name="us-west-2", poke_interval=5
        ).expand(import_task_id=[UNKNOWN_ID])
        assert mapped.partial_kwargs["max_failed_records"] == 1

    def test_names_can_be_mapped(self) -> None:
        mapped: Any = AdsImportTaskSensor.partial(task_id="wait", deferrable=True).expand(name=["one", "two"])
        assert mapped.partial_kwargs["deferrable"] is True


def test_airflow_2_does_not_warn_about_a_nested_execute(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_task(sensor(aws_default.add_import_task(status="IMPORT_COMPLETE")), monkeypatch)
    # Once, because the test itself does not run on a worker.
    assert capsys.readouterr().out.count("execute cannot be called outside") == 1


class TestFailure:
    def test_it_is_final_and_caused_by_the_outcome(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = run_task(sensor(aws_default.add_import_task(status="INTERNAL_ERROR")), monkeypatch)
        assert isinstance(run.error, AirflowFailException)
        assert json.dumps(run.error.__cause__.import_tasks)  # type: ignore[union-attr]

    def test_it_is_logged_under_soft_fail(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import_task_id = aws_default.add_import_task(status="IMPORT_FAILED_SERVER_LIMIT_EXCEEDED")
        assert run_task(sensor(import_task_id, soft_fail=True), monkeypatch).state == "skipped"
        assert "quota of imported servers is exceeded" in capsys.readouterr().out
