"""Mapped tasks: every import has a task of its own, and a wait of its own where one for all is not enough."""

from __future__ import annotations

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run


def test_operator_and_sensor_take_every_argument_when_mapped(
    finished: dict[str, Run], aws: dict[str, AdsEmulator]
) -> None:
    run = finished["one_wait_for_each"]
    assert sorted((task.task_id, task.map_index, task.state) for task in run.task_instances) == [
        ("start", 0, "success"),
        ("start", 1, "success"),
        ("wait", 0, "success"),
        ("wait", 1, "success"),
    ]
    imports = {task["name"]: task["importTaskId"] for task in aws["aws_default"].import_tasks()}
    for index, letter in enumerate("ab"):
        import_task_id = imports[f"mapped-{letter}-{run.run_id}"]
        assert run.xcom("start", map_index=index) == import_task_id
        assert run.xcom("wait", map_index=index)["importTaskId"] == import_task_id
