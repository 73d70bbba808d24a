from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import Run, run_task


def link_of(run: Run) -> str:
    """The link that Airflow shows for what the task stored."""
    return MigrationHubLink().format_link(**run.links[MigrationHubLink.key])


def test_of_the_operator_leads_to_the_region_that_was_called(
    aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_default.home_region = "eu-central-1"
    operator = AdsStartImportTaskOperator(
        task_id="start", name="cmdb", import_url=inventory, region_name="eu-central-1"
    )
    assert link_of(run_task(operator, monkeypatch)) == (
        "https://console.aws.amazon.com/migrationhub/?region=eu-central-1"
    )


@pytest.mark.parametrize(
    "mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "deferrable"]
)
@pytest.mark.parametrize("status", ["IMPORT_COMPLETE", "IMPORT_FAILED"])
def test_of_the_sensor_is_there_however_the_import_ends(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any], status: str
) -> None:
    import_task_id = aws_default.add_import_task(status=status)
    sensor = AdsImportTaskSensor(task_id="wait", import_task_id=import_task_id, poke_interval=0.02, **mode)
    assert link_of(run_task(sensor, monkeypatch)) == "https://console.aws.amazon.com/migrationhub/?region=us-west-2"


@pytest.mark.parametrize("task_class", [AdsStartImportTaskOperator, AdsImportTaskSensor])
def test_is_offered_by_operator_and_sensor(task_class: Any) -> None:
    assert [type(link) for link in task_class.operator_extra_links] == [MigrationHubLink]
