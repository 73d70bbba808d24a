"""The documentation lists the IAM actions that each task uses while it runs against the emulator."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import (
    AdsDeleteImportDataOperator,
    AdsExportToS3Operator,
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import run_task

PAGE = (Path(__file__).parents[2] / "docs" / "permissions.md").read_text()
WHOLE, *PARTS = [
    {action for statement in json.loads(block)["Statement"] for action in statement["Action"]}
    for block in re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL)
]


def finished_import(ads: AdsEmulator) -> str:
    """Return the id of a finished import of which one record failed."""
    task = AdsHook("aws_default").start_import_task("cmdb-monday", "s3://inventory/inventory.csv")
    while AdsHook("aws_default").get_import_task(task.import_task_id).status == "IMPORT_IN_PROGRESS":
        pass
    ads.clear_calls()
    return task.import_task_id


def prune(ads: AdsEmulator) -> Any:
    finished_import(ads)
    return AdsPruneImportTasksOperator(
        task_id="task",
        name_prefix="cmdb-",
        superseded_by=finished_import(ads),
        allow_failed_records=True,
        poll_interval=0.01,
    )


TASKS: dict[str, Callable[[AdsEmulator], Any]] = {
    "AdsPrepareImportFileOperator": lambda ads: AdsPrepareImportFileOperator(
        task_id="task",
        source_url=ads.upload("s3://inventory/good.csv", "ExternalId\n1\n"),
        destination_url="s3://inventory/parts",
    ),
    "AdsStartImportTaskOperator": lambda ads: AdsStartImportTaskOperator(
        task_id="task",
        name="cmdb",
        import_url="s3://inventory/inventory.csv",
        wait_for_completion=True,
        poll_interval=0.01,
        max_failed_records=None,
    ),
    "AdsImportTaskSensor": lambda ads: AdsImportTaskSensor(
        task_id="task", import_task_id=finished_import(ads), max_failed_records=None, poke_interval=0.01
    ),
    "AdsFailedRecordsToS3Operator": lambda ads: AdsFailedRecordsToS3Operator(
        task_id="task", import_task_id=finished_import(ads), destination_url="s3://inventory/failed"
    ),
    "AdsExportToS3Operator": lambda ads: AdsExportToS3Operator(
        task_id="task", destination_url="s3://inventory/exports", ec2_recommendations={}, poll_interval=0.01
    ),
    "AdsPruneImportTasksOperator": prune,
    "AdsDeleteImportDataOperator": lambda ads: AdsDeleteImportDataOperator(
        task_id="task", import_task_id=finished_import(ads), poll_interval=0.01
    ),
}


def documented(name: str) -> list[str]:
    (actions,) = re.findall(rf"^\| `{re.escape(name)}` \| (.+) \|$", PAGE, re.MULTILINE)
    return re.findall(r"`([\w:]+)`", actions)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_uses_the_documented_actions(
    name: str, aws_default: AdsEmulator, half_bad_inventory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_default.delete_seconds = 0.01
    # Only a retry looks for an import to adopt.
    run = run_task(TASKS[name](aws_default), monkeypatch, try_number=2)
    assert run.state == "success", run.error
    assert sorted(aws_default.iam_actions()) == documented(name)


def test_the_connection_test_uses_the_documented_actions(aws_default: AdsEmulator) -> None:
    good, message = AdsHook("aws_default").test_connection()
    assert good, message
    assert sorted(aws_default.iam_actions()) == documented("AdsHook.test_connection")


def test_the_policies_allow_exactly_these_actions() -> None:
    needed = {action for name in [*TASKS, "AdsHook.test_connection"] for action in documented(name)}
    # Only a connection with a role assumes it.
    assert needed | {"sts:AssumeRole"} == WHOLE
    importing, deleting, exporting = PARTS
    exports = {"discovery:StartExportTask", "discovery:DescribeExportTasks"}
    assert importing == needed - exports - {"discovery:BatchDeleteImportData"}
    assert exporting == set(documented("AdsExportToS3Operator"))
    assert deleting == set(documented("AdsDeleteImportDataOperator")) == set(documented("AdsPruneImportTasksOperator"))
