from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.operators import (
    AdsDeleteImportDataOperator,
    AdsExportToS3Operator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import run_task


def test_the_operators_link_leads_to_the_region_that_it_called(
    aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_default.home_region = "eu-central-1"
    task = AdsStartImportTaskOperator(task_id="start", name="cmdb", import_url=inventory, region_name="eu-central-1")
    link = MigrationHubLink().format_link(**run_task(task, monkeypatch).links[MigrationHubLink.key])
    assert link == "https://console.aws.amazon.com/migrationhub/?region=eu-central-1"


@pytest.mark.parametrize("task_class", [AdsDeleteImportDataOperator, AdsPruneImportTasksOperator])
def test_operators_that_delete_have_a_link(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, task_class: Any
) -> None:
    import_task_id = aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")
    arguments: dict[str, Any] = {"import_task_id": import_task_id, "poll_interval": 0.02}
    if task_class is AdsPruneImportTasksOperator:
        arguments = {"name_prefix": "cmdb", "superseded_by": import_task_id}
    assert run_task(task_class(task_id="delete", **arguments), monkeypatch).links


@pytest.mark.parametrize(
    "task_class",
    [
        AdsStartImportTaskOperator,
        AdsImportTaskSensor,
        AdsExportToS3Operator,
        AdsDeleteImportDataOperator,
        AdsPruneImportTasksOperator,
    ],
)
def test_airflow_shows_the_link(task_class: Any) -> None:
    assert [type(link) for link in task_class.operator_extra_links] == [MigrationHubLink]
