"""A ServiceNow workbook goes through the whole pipeline, and every row of it is accounted for."""

from __future__ import annotations

import csv
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from sample_inventories.servicenow_export import make_servicenow_export
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.support.moto import read_object

ROWS = 300

#: Of rows 0 to 299, those whose number is 2 modulo 3 are not servers: 100, and 20 of the others are decommissioned.
NOT_SERVERS, DECOMMISSIONED = 100, 20


@dataclass(frozen=True)
class Pipeline:
    """
    A finished run.

    :param run: the Dag run.
    :param report: the report of prepare.
    :param imports: the run's imports, in the order of the parts.
    :param rows: the rows of all parts by host name.
    """

    run: Run
    report: dict[str, Any]
    imports: list[dict[str, Any]]
    rows: dict[str, dict[str, str]]


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> Future[Run]:
    ads = aws["aws_servicenow"]
    ads.upload("s3://inventory/servicenow.xlsx", make_servicenow_export(ROWS))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    ads.add_import_task(
        name="servicenow-yesterday", status="IMPORT_COMPLETE", importRequestTime=yesterday, serverImportSuccess=200
    )
    return runs.start("servicenow")


@pytest.fixture
def pipeline(started: Any, aws: dict[str, AdsEmulator]) -> Pipeline:
    run: Run = started[__name__].result()
    assert run.state == "success"
    report = run.xcom("prepare", "report")
    by_url = {task["importUrl"]: task for task in aws["aws_servicenow"].import_tasks() if "importUrl" in task}
    texts = [read_object(part["url"]).decode() for part in report["parts"]]
    rows = {row["HostName"]: row for text in texts for row in csv.DictReader(text.splitlines())}
    return Pipeline(run, report, [by_url[part["url"]] for part in report["parts"]], rows)


def test_every_row_is_imported_failed_quarantined_or_filtered(pipeline: Pipeline) -> None:
    report = pipeline.report
    filtered = report["rows_filtered"]
    succeeded = sum(task["serverImportSuccess"] for task in pipeline.imports)
    failed = sum(task["serverImportFailure"] for task in pipeline.imports)
    assert filtered == {"Class": NOT_SERVERS, "Operational status": DECOMMISSIONED}
    assert len(pipeline.imports) > 1
    assert min(failed, report["rows_quarantined"]) > 0
    assert report["rows_read"] == ROWS
    assert succeeded + failed + report["rows_quarantined"] + sum(filtered.values()) == ROWS


def test_values_mean_the_same_as_in_the_workbook(pipeline: Pipeline) -> None:
    tag = f"import:{pipeline.run.run_id.replace(':', '')}"
    assert {name: value for name, value in pipeline.rows["srv00001.example.com"].items() if value} == {
        "ExternalId": "VMware-000001",
        "HostName": "srv00001.example.com",
        "IPAddress": "10.0.0.2, 10.1.0.2",
        "RAM.TotalSizeInMB": "4096",
        "CPU.NumberOfCores": "2",
        "OS.Name": "Ubuntu 24.04",
        "Tags": f"environment:Test, team:Operations, {tag}",
    }
    # Three of its cells are placeholders.
    assert {name: value for name, value in pipeline.rows["srv00063.example.com"].items() if value} == {
        "HostName": "srv00063.example.com",
        "RAM.TotalSizeInMB": "65536",
        "CPU.NumberOfCores": "8",
        "OS.Name": "Ubuntu 24.04",
        "Tags": f"environment:Production, team:Operations, {tag}",
    }


def test_invalid_rows_are_in_the_quarantine_and_failed_ones_are_fetched(pipeline: Pipeline) -> None:
    quarantined = read_object(pipeline.report["quarantine_url"]).decode()
    assert [row["Name"] for row in csv.DictReader(quarantined.splitlines())] == [
        "srv00010.example.com",
        "srv00210.example.com",
    ]
    urls = [each["failed_entries_url"] for each in pipeline.run.xcom("fetch") if each["failed_records"]]
    fetched = [row["HostName"] for url in urls for row in csv.DictReader(read_object(url).decode().splitlines())]
    assert sorted(fetched) == ["srv00030.example.com", "srv00130.example.com"]
    assert len(fetched) == sum(task["serverImportFailure"] for task in pipeline.imports)


def test_the_run_replaces_the_older_import(pipeline: Pipeline, aws: dict[str, AdsEmulator]) -> None:
    statuses = {task["name"]: task["status"] for task in aws["aws_servicenow"].import_tasks()}
    assert statuses["servicenow-yesterday"] == "DELETE_COMPLETE"
    assert {task["status"] for task in pipeline.imports} <= {"IMPORT_COMPLETE", "IMPORT_COMPLETE_WITH_ERRORS"}
