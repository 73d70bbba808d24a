from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS
from botocore import UNSIGNED
from botocore.config import Config

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.operators import AdsDeleteImportDataOperator, AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor
from airflow_provider_ads.waiting import end_import_wait
from tests.support.task_runs import Run, context_of, run_task

if TYPE_CHECKING or AIRFLOW_V_3_0_PLUS:
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import OutletEventAccessors
else:
    from airflow.datasets import Dataset as Asset

INVENTORY = Asset("x-cmdb://inventory")  # noqa: AIR311  # on Airflow 2 it is a Dataset


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


def test_the_verdict_is_logged_before_anything_can_fail(
    aws_default: AdsEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    sensor = AdsImportTaskSensor(task_id="wait", import_task_id=aws_default.add_import_task(status="IMPORT_FAILED"))
    context = context_of(sensor, Run())

    def no_xcom_today(**_: Any) -> None:
        raise RuntimeError("the XCom backend is down")

    context["ti"].xcom_push = no_xcom_today
    tasks = sensor.hook.get_import_tasks(str(sensor.import_task_id))
    with pytest.raises(RuntimeError, match="XCom backend"):
        end_import_wait(context, tasks, 0, as_list=False, log=sensor.log)
    assert "No record was imported" in capsys.readouterr().out


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
