from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.operators import (
    AdsDeleteImportDataOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import run_task


def link_after_running(task: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the task and return the link that Airflow shows for it."""
    assert [type(link) for link in task.operator_extra_links] == [MigrationHubLink]
    return MigrationHubLink().format_link(**run_task(task, monkeypatch).links[MigrationHubLink.key])


def test_the_operators_link_leads_to_the_region_that_it_called(
    aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_default.home_region = "eu-central-1"
    task = AdsStartImportTaskOperator(task_id="start", name="cmdb", import_url=inventory, region_name="eu-central-1")
    link = link_after_running(task, monkeypatch)
    assert link == "https://console.aws.amazon.com/migrationhub/?region=eu-central-1"


@pytest.mark.parametrize(
    "mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "deferrable"]
)
@pytest.mark.parametrize("status", ["IMPORT_COMPLETE", "IMPORT_FAILED"])
def test_the_sensor_has_a_link_whether_or_not_the_import_fails(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any], status: str
) -> None:
    import_task_id = aws_default.add_import_task(status=status)
    sensor = AdsImportTaskSensor(task_id="wait", import_task_id=import_task_id, poke_interval=0.02, **mode)
    link = link_after_running(sensor, monkeypatch)
    assert link == "https://console.aws.amazon.com/migrationhub/?region=us-west-2"


def test_operators_that_delete_have_a_link(aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    import_task_id = aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")
    prune = AdsPruneImportTasksOperator(task_id="prune", name_prefix="cmdb", superseded_by=import_task_id)
    delete = AdsDeleteImportDataOperator(task_id="delete", import_task_id=import_task_id, poll_interval=0.02)
    for task in (prune, delete):
        link = link_after_running(task, monkeypatch)
        assert link == "https://console.aws.amazon.com/migrationhub/?region=us-west-2"
