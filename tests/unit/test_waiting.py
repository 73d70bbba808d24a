from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor
from airflow_provider_ads.waiting import end_import_wait
from tests.support.task_runs import Run, context_of, run_task

if TYPE_CHECKING or AIRFLOW_V_3_0_PLUS:
    from airflow.sdk import Asset
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
