from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS
from botocore import UNSIGNED
from botocore.config import Config

from airflow_provider_ads import clients
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsDeleteImportDataOperator, AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor
from airflow_provider_ads.waiting import end_import_wait
from tests.support.credentials_endpoint import CredentialsEndpoint
from tests.support.recording_emulator import RecordingEmulator
from tests.support.task_runs import Run, context_of, run_task

if TYPE_CHECKING or AIRFLOW_V_3_0_PLUS:
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import OutletEventAccessors
else:
    from airflow.datasets import Dataset as Asset

INVENTORY = Asset("x-cmdb://inventory")  # noqa: AIR311  # on Airflow 2 it is a Dataset

SENSORS: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
OPERATORS: dict[str, dict[str, Any]] = {
    "operator": {"deferrable": False},
    "deferrable operator": {"deferrable": True},
}


class LongWait:
    """
    A row of the table of modes: tasks that wait for imports, each in its way, and what happens meanwhile.

    :param account: an emulator of its own, because a fault affects all of the row's tasks.
    :param connection: the Airflow connection to it.
    :param operators: True to run operators too.
    :param arguments: arguments of the sensors.
    """

    def __init__(self, account: RecordingEmulator, connection: str, operators: bool = True, **arguments: Any) -> None:
        self.account = account
        common: dict[str, Any] = {
            "aws_conn_id": connection,
            "retries": 1,
            "botocore_config": {"retries": {"total_max_attempts": 1}},
        }
        self.tasks: dict[str, Any] = {}
        for mode, in_mode in SENSORS.items():
            for subject in ("id", "name"):
                column = f"{mode} by {subject}"
                import_task_id = account.add_import_task(name=column)
                awaited: dict[str, Any] = {"name": column} if subject == "name" else {"import_task_id": import_task_id}
                options = {"poke_interval": 0.5, "timeout": 60, **common, **arguments, **in_mode}
                task_id = f"{connection}-{mode}-{subject}"
                self.tasks[column] = AdsImportTaskSensor(task_id=task_id, **awaited, **options)
        inventory = account.upload("s3://inventory/inventory.csv", "ExternalId,HostName\n1,a.example\n")
        for column, in_mode in OPERATORS.items() if operators else ():
            self.tasks[column] = AdsStartImportTaskOperator(
                task_id=f"{connection}-{column.replace(' ', '-')}",
                name=column,
                import_url=inventory,
                wait_for_completion=True,
                poll_interval=0.5,
                **common,
                **in_mode,
            )

    def import_ids(self) -> dict[str, str]:
        """Return the id of the import that each task waits for; operators first have to start theirs."""
        return {task["name"]: task["importTaskId"] for task in self.account.import_tasks()}

    def until_polled(self, times: int) -> None:
        """Wait until every task has received the answers to this many polls."""
        deadline = time.monotonic() + 60
        while min(map(self._polls, self.tasks)) < times:
            assert time.monotonic() < deadline, {column: self._polls(column) for column in self.tasks}
            time.sleep(0.05)

    def _polls(self, column: str) -> int:
        subjects = {column, self.import_ids().get(column)}
        return sum(
            call.operation == "DescribeImportTasks" and not subjects.isdisjoint(call.import_task_ids)
            for call in self.account.answered_calls()
        )

    def end_imports(self) -> float:
        """End the imports, and return the time, in seconds of the monotonic clock."""
        for import_task_id in self.import_ids().values():
            self.account.update_import_task(import_task_id, status="IMPORT_COMPLETE")
        return time.monotonic()


def test_every_mode_waits_through_an_outage_of_credentials_and_checks_once_more_at_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "MIN_CLIENT_AGE", 0.0)
    with ExitStack() as stack:
        accounts = [stack.enter_context(RecordingEmulator(import_seconds=3600)) for _ in range(3)]
        container = stack.enter_context(CredentialsEndpoint(accounts[0]))
        # botocore asks for new credentials before each call if the old ones expire in less than ten minutes.
        soon = {"Expiration": datetime.now(UTC) + timedelta(minutes=5)}
        container.credentials = {**container.default_credentials(), **soon}
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.container_url)
        without_keys = json.loads(accounts[0].airflow_connection)
        del without_keys["login"], without_keys["password"]
        monkeypatch.setenv("AIRFLOW_CONN_CONTAINER", json.dumps(without_keys))
        monkeypatch.setenv("AIRFLOW_CONN_EXPIRING", accounts[1].airflow_connection)
        monkeypatch.setenv("AIRFLOW_CONN_LAST_POLL", accounts[2].airflow_connection)

        def container_without_credentials(row: LongWait) -> float:
            row.until_polled(2)
            container.status = 500
            row.account.expire(row.account.access_key[0])
            began = row.end_imports()
            time.sleep(15)
            container.credentials = {**container.default_credentials(), "AccessKeyId": "AKIANEW"}
            container.status = None
            return began + 15

        def expired_keys(row: LongWait) -> float:
            row.until_polled(2)
            began = time.monotonic()
            row.account.inject("ExpiredTokenException", status=400, seconds=4)
            row.end_imports()
            return began + 4

        def end_after_the_last_poll(row: LongWait) -> float:
            row.until_polled(1)
            return row.end_imports()

        # Airflow pokes before it compares the time, so the second poke is the last one.
        last_poll = {"timeout": 15, "poke_interval": 18}
        rows: dict[str, tuple[LongWait, Callable[[LongWait], float]]] = {
            "credentials of a container answer 500 for 15 s": (
                LongWait(accounts[0], "container"),
                container_without_credentials,
            ),
            "ExpiredToken for 4 s": (LongWait(accounts[1], "expiring"), expired_keys),
            "import ends between the last poll and the deadline": (
                LongWait(accounts[2], "last_poll", operators=False, **last_poll),
                end_after_the_last_poll,
            ),
        }

        def run(task: Any) -> tuple[Run, float]:
            return run_task(task, monkeypatch), time.monotonic()

        # At its first lookup, Airflow 2 imports its models, which can deadlock in threads.
        AdsHook("last_poll").list_import_tasks()
        # They mostly wait, so they run at the same time.
        with ThreadPoolExecutor(max_workers=32) as threads:
            events = {name: threads.submit(change, row) for name, (row, change) in rows.items()}
            runs = {
                (name, column): threads.submit(run, task)
                for name, (row, _) in rows.items()
                for column, task in row.tasks.items()
            }
            earliest = {name: event.result() for name, event in events.items()}
            ended = {cell: future.result() for cell, future in runs.items()}
    outcomes = {cell: (run.state, run.xcoms.get("import_task", {}).get("status")) for cell, (run, _) in ended.items()}
    assert outcomes == dict.fromkeys(ended, ("success", "IMPORT_COMPLETE")), [run.error for run, _ in ended.values()]
    assert [cell for cell, (_, moment) in ended.items() if moment < earliest[cell[0]]] == []
    deferred = {cell for cell, (run, _) in ended.items() if run.deferrals}
    assert deferred == {(name, column) for name, column in ended if column.startswith("deferrable")}


class TestAssetEvents:
    @pytest.mark.parametrize(
        "waiting",
        [{}, {"wait_for_completion": True}, {"wait_for_completion": True, "deferrable": True}],
        ids=["not waiting", "sync", "deferrable"],
    )
    def test_events_of_the_operator_contain_the_summary(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, waiting: dict[str, Any]
    ) -> None:
        operator = AdsStartImportTaskOperator(
            task_id="start", name="cmdb", import_url=inventory, poll_interval=0.02, outlets=[INVENTORY], **waiting
        )
        run = run_task(operator, monkeypatch)
        extra = run.outlet_events[INVENTORY].extra
        assert extra["import_task"]["importTaskId"] == run.result
        assert extra["import_task"]["status"] == ("IMPORT_COMPLETE" if waiting else "IMPORT_IN_PROGRESS")
        assert json.loads(json.dumps(extra)) == extra

    @pytest.mark.parametrize("wait_for_completion", [False, True])
    def test_events_of_a_list_of_files_contain_a_list(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, wait_for_completion: bool
    ) -> None:
        operator = AdsStartImportTaskOperator(
            task_id="start",
            name="cmdb",
            import_url=[inventory],
            poll_interval=0.02,
            outlets=[INVENTORY],
            wait_for_completion=wait_for_completion,
        )
        run = run_task(operator, monkeypatch)
        (summary,) = run.outlet_events[INVENTORY].extra["import_task"]
        assert [summary["importTaskId"]] == run.result

    @pytest.mark.parametrize("deferrable", [False, True])
    def test_events_of_the_sensor_contain_its_result(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool
    ) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(2)]
        sensor = AdsImportTaskSensor(
            task_id="wait", import_task_id=ids, poke_interval=0.02, deferrable=deferrable, outlets=[INVENTORY]
        )
        run = run_task(sensor, monkeypatch)
        assert run.outlet_events[INVENTORY].extra == {"import_task": run.result}

    def test_other_outlets_are_ignored(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operator = AdsStartImportTaskOperator(task_id="start", name="cmdb", import_url=inventory)
        operator.outlets = ["a name"]
        run = run_task(operator, monkeypatch)
        assert (run.state, len(run.outlet_events)) == ("success", 0)


def test_the_verdict_is_shown_even_if_its_xcom_cannot_be_pushed(aws_default: AdsEmulator) -> None:
    sensor = AdsImportTaskSensor(task_id="wait", import_task_id=aws_default.add_import_task(status="IMPORT_FAILED"))
    context = context_of(sensor, Run())

    def no_xcom_today(**_: Any) -> None:
        raise RuntimeError("the XCom backend is down")

    context["ti"].xcom_push = no_xcom_today
    tasks = sensor.hook.get_import_tasks(str(sensor.import_task_id))
    with pytest.raises(RuntimeError, match="XCom backend") as error:
        end_import_wait(context, tasks, 0, as_list=False, log=sensor.log)
    assert "IMPORT_FAILED" in str(error.value.__context__)


class TestSettings:
    def test_a_path_and_a_config_object_reach_the_trigger(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authorities = Path(certifi.where())
        operator = AdsStartImportTaskOperator(
            task_id="start",
            name="cmdb",
            import_url=inventory,
            wait_for_completion=True,
            deferrable=True,
            poll_interval=0.02,
            verify=authorities,
            botocore_config=Config(read_timeout=7, retries={"mode": "standard"}),
        )
        run = run_task(operator, monkeypatch)
        assert run.state == "success"
        assert run.deferrals[0]["verify"] == str(authorities)
        assert run.deferrals[0]["botocore_config"] == {"read_timeout": 7, "retries": {"mode": "standard"}}

    @pytest.mark.parametrize("operator_class", [AdsStartImportTaskOperator, AdsDeleteImportDataOperator])
    def test_a_config_that_airflow_cannot_store_is_refused_before_any_call(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, operator_class: Any
    ) -> None:
        own: dict[str, Any] = {"import_task_id": "import-task-" + "f" * 32}
        if operator_class is AdsStartImportTaskOperator:
            own = {"name": "cmdb", "import_url": "s3://bucket/key"}
        operator = operator_class(
            task_id="task",
            wait_for_completion=True,
            deferrable=True,
            botocore_config={"signature_version": UNSIGNED},
            **own,
        )
        run = run_task(operator, monkeypatch)
        assert isinstance(run.error, ValueError)
        assert "Remove that option, or set deferrable=False" in str(run.error)
        assert not aws_default.calls()

    @pytest.mark.parametrize("operator_class", [AdsImportTaskSensor, AdsDeleteImportDataOperator])
    def test_more_imports_than_every_database_can_store_are_refused_before_any_call(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, operator_class: Any
    ) -> None:
        ids = [f"import-task-{number:032}" for number in range(1001)]
        run = run_task(operator_class(task_id="task", import_task_id=ids, deferrable=True), monkeypatch)
        assert "at most 1,000 imports; got 1,001" in str(run.error)
        assert not aws_default.calls()


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has no references to assets.")
def test_events_of_a_reference_by_name_contain_the_summary(
    aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Asset.ref(name="inventory")  # noqa: AIR311
    monkeypatch.setattr(OutletEventAccessors, "_get_asset_from_db", staticmethod(lambda **_: INVENTORY))
    operator = AdsStartImportTaskOperator(task_id="start", name="cmdb", import_url=inventory, outlets=[reference])
    run = run_task(operator, monkeypatch)
    assert run.outlet_events[INVENTORY].extra["import_task"]["importTaskId"] == run.result


def test_a_message_names_the_first_imports_and_counts_the_others(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [aws_default.add_import_task(status="IMPORT_FAILED") for _ in range(30)]
    run = run_task(AdsImportTaskSensor(task_id="wait", import_task_id=ids), monkeypatch)
    assert str(run.error).endswith("and 10 more")
    assert str(run.error).count("IMPORT_FAILED") == 20
