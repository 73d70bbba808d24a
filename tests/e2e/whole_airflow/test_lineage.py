"""Airflow sends OpenLineage events for a Dag that prepares an inventory in parts and imports them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.conftest import CLIENT_REQUEST_TOKEN, SECRETS, tokens
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.e2e.whole_airflow.stored_text import places_of
from tests.support.airflow import LocalAirflow
from tests.support.openlineage import check_event

Event = dict[str, Any]

GOOD_ROWS = [f'{number},"web, ""{number}""\r\n東京",1024\r\n' for number in range(6)]

#: The first row is quarantined, and the second one fails at AWS.
BAD_ROWS = ["a,web a,much\r\n", f"b,web b,{2**64 - 1}\r\n"]

INVENTORY = "".join(["ExternalId,VMware.VMName,RAM.TotalSizeInMB\r\n", *GOOD_ROWS[:3], *BAD_ROWS, *GOOD_ROWS[3:]])


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> Future[Run]:
    aws["aws_lineage"].upload("s3://inventory/lineage.csv", INVENTORY)
    return runs.start("lineage")


@pytest.fixture
def run(started: Any) -> Run:
    run: Run = started[__name__].result()
    return run


def event_files(airflow: LocalAirflow) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of the file of each event."""
    for path in sorted((airflow.home.parent / "openlineage").iterdir()):
        yield path.name, path.read_text()


def events_of(airflow: LocalAirflow, run: Run) -> dict[tuple[str, int], list[Event]]:
    """Return the events of a run by task id and map index, oldest first."""
    found: dict[tuple[str, int], list[Event]] = {(task.task_id, task.map_index): [] for task in run.task_instances}
    for _, text in event_files(airflow):
        event = json.loads(text)
        facet = event["run"]["facets"].get("airflow")
        if facet and facet["dagRun"]["run_id"] == run.run_id:
            task_id = event["job"]["name"].removeprefix("lineage.")
            found[task_id, facet["taskInstance"].get("map_index", -1)].append(event)
    return {task: sorted(events, key=lambda event: str(event["eventTime"])) for task, events in found.items()}


@pytest.fixture
def events(airflow: LocalAirflow, run: Run) -> dict[tuple[str, int], list[Event]]:
    """The events of the run; Airflow sends the last ones after the tasks have ended."""
    deadline = time.monotonic() + 60
    while True:
        try:
            events = events_of(airflow, run)
        except json.JSONDecodeError:
            # Airflow is still writing this event.
            events = {("", -1): []}
        if all(any(event["eventType"] != "START" for event in each) for each in events.values()):
            return events
        assert time.monotonic() < deadline, f"events are missing: {events}"
        time.sleep(0.5)


def datasets(event: Event, kind: str) -> dict[tuple[str, str], dict[str, int]]:
    """Return the statistics of the inputs or outputs of an event, by namespace and name."""
    found = {}
    for dataset in event[f"{kind}s"]:
        statistics = dataset.get(f"{kind}Facets", {}).get(f"{kind}Statistics", {})
        numbers = {name: value for name, value in statistics.items() if not name.startswith("_")}
        found[dataset["namespace"], dataset["name"]] = numbers
    return found


def dataset(url: str) -> tuple[str, str]:
    """Return the namespace and the name of an object in the bucket."""
    return "s3://inventory", url.removeprefix("s3://inventory/")


def test_events_are_valid_and_only_about_the_dag_that_enables_them(
    airflow: LocalAirflow, events: dict[tuple[str, int], list[Event]]
) -> None:
    every_event = [json.loads(text) for _, text in event_files(airflow)]
    for event in every_event:
        check_event(event)
    assert {event["job"]["name"] for event in every_event} == {"lineage", "lineage.prepare", "lineage.start"}


def test_every_task_has_a_start_and_an_end(run: Run, events: dict[tuple[str, int], list[Event]]) -> None:
    for task in run.task_instances:
        types = [event["eventType"] for event in events[task.task_id, task.map_index]]
        # A deferred task starts twice.
        starts = ["START"] * (2 if task.task_id == "start" else 1)
        assert types == [*starts, {"success": "COMPLETE", "failed": "FAIL"}[str(task.state)]]
    assert sorted(str(task.state) for task in run.task_instances) == ["failed", "success", "success", "success"]


def test_files_link_the_inventory_to_its_imports(run: Run, events: dict[tuple[str, int], list[Event]]) -> None:
    prepared = events["prepare", -1][-1]
    report = run.xcom("prepare", "report")
    assert datasets(prepared, "input") == {dataset("s3://inventory/lineage.csv"): {"rowCount": 8}}
    assert datasets(prepared, "output") == {
        **{dataset(part["url"]): {"rowCount": part["rows"], "size": part["size_bytes"]} for part in report["parts"]},
        dataset(report["quarantine_url"]): {"rowCount": 1},
    }
    for map_index, part in enumerate(report["parts"]):
        assert list(datasets(events["start", map_index][-1], "input")) == [dataset(part["url"])]


def test_events_report_the_counts_of_successful_and_failed_tasks(
    run: Run, events: dict[tuple[str, int], list[Event]]
) -> None:
    failed = []
    for map_index, part in enumerate(run.xcom("prepare", "report")["parts"]):
        event = events["start", map_index][-1]
        facet = event["run"]["facets"]["awsDiscovery_import"]
        summary = run.xcom("start", "import_task", map_index)
        assert {name: facet.get(name) for name in summary} == summary
        assert facet["serverImportSuccess"] + facet["serverImportFailure"] == part["rows"]
        failed.append(facet["serverImportFailure"])
        assert (event["eventType"] == "FAIL") == bool(facet["serverImportFailure"])
    assert sum(failed) == 1


def test_events_contain_no_secret(
    airflow: LocalAirflow, events: dict[tuple[str, int], list[Event]], aws: dict[str, AdsEmulator]
) -> None:
    imports = aws["aws_lineage"].import_tasks()
    assert all(CLIENT_REQUEST_TOKEN in task["clientRequestToken"] for task in imports)
    assert any("X-Amz-Signature" in task.get("errorsAndFailedEntriesZip", "") for task in imports)
    # OpenLineage's option include_full_task_info, which is off by default, would add the token here.
    assert "client_request_token" not in events["start", 0][-1]["run"]["facets"]["airflow"]["task"]
    assert places_of([*SECRETS, *tokens(aws)], event_files(airflow)) == set()
