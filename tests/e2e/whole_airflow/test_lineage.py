"""What Airflow sends to OpenLineage of a run whose Dag asks for it: an export in parts, one of which fails in part."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.conftest import INTENTION, LINEAGE, SECRETS, tokens_of
from tests.e2e.whole_airflow.runs import Run
from tests.e2e.whole_airflow.traces import places_of
from tests.support.airflow import LocalAirflow
from tests.support.openlineage import check_event

Event = dict[str, Any]


@pytest.fixture
def run(finished: dict[str, Run]) -> Run:
    return finished["lineage"]


def sent(airflow: LocalAirflow) -> Iterator[tuple[str, str]]:
    """Names of files and the events in them, as text."""
    for path in sorted((airflow.home.parent / LINEAGE).iterdir()):
        yield path.name, path.read_text()


def of_tasks(airflow: LocalAirflow, run: Run) -> dict[tuple[str, int], list[Event]]:
    """The events of a run by its task instances, oldest first."""
    found: dict[tuple[str, int], list[Event]] = {(task.task_id, task.map_index): [] for task in run.task_instances}
    for _, text in sent(airflow):
        event = json.loads(text)
        facet = event["run"]["facets"].get("airflow")
        if facet and facet["dagRun"]["run_id"] == run.run_id:
            task_id = event["job"]["name"].removeprefix("lineage.")
            found[task_id, facet["taskInstance"].get("map_index", -1)].append(event)
    return {task: sorted(events, key=lambda event: str(event["eventTime"])) for task, events in found.items()}


@pytest.fixture
def events(airflow: LocalAirflow, run: Run) -> dict[tuple[str, int], list[Event]]:
    """The events of the run by its task instances: the last ones are sent when Airflow knows that a task has ended."""
    deadline = time.monotonic() + 60
    while True:
        try:
            events = of_tasks(airflow, run)
        except json.JSONDecodeError:
            events = {("one that is being written", -1): []}
        if all(any(event["eventType"] != "START" for event in each) for each in events.values()):
            return events
        assert time.monotonic() < deadline, f"events are missing: {events}"
        time.sleep(0.5)


def datasets(event: Event, kind: str) -> dict[tuple[str, str], dict[str, int]]:
    """The statistics of the inputs or outputs by namespace and name."""
    found = {}
    for dataset in event[f"{kind}s"]:
        statistics = dataset.get(f"{kind}Facets", {}).get(f"{kind}Statistics", {})
        numbers = {name: value for name, value in statistics.items() if not name.startswith("_")}
        found[dataset["namespace"], dataset["name"]] = numbers
    return found


def in_inventory(url: str) -> tuple[str, str]:
    """Namespace and name of an object in the bucket of the test."""
    return "s3://inventory", url.removeprefix("s3://inventory/")


def test_events_are_valid_and_of_no_other_dag(
    airflow: LocalAirflow, events: dict[tuple[str, int], list[Event]]
) -> None:
    everything = [json.loads(text) for _, text in sent(airflow)]
    for event in everything:
        check_event(event)
    assert {event["job"]["name"] for event in everything} == {"lineage", "lineage.prepare", "lineage.start"}


def test_tasks_are_followed_from_start_to_end(run: Run, events: dict[tuple[str, int], list[Event]]) -> None:
    for task in run.task_instances:
        types = [event["eventType"] for event in events[task.task_id, task.map_index]]
        # A deferred task starts twice.
        expected = ["START"] * (2 if task.task_id == "start" else 1)
        assert types == [*expected, {"success": "COMPLETE", "failed": "FAIL"}[str(task.state)]]
    assert sorted(str(task.state) for task in run.task_instances) == ["failed", "success", "success", "success"]


def test_files_lead_from_the_export_to_the_imports(run: Run, events: dict[tuple[str, int], list[Event]]) -> None:
    prepared = events["prepare", -1][-1]
    report = run.xcom("prepare", "report")
    assert datasets(prepared, "input") == {in_inventory("s3://inventory/lineage.csv"): {"rowCount": 8}}
    assert datasets(prepared, "output") == {
        **{
            in_inventory(part["url"]): {"rowCount": part["rows"], "size": part["size_bytes"]}
            for part in report["parts"]
        },
        in_inventory(report["quarantine_url"]): {"rowCount": 1},
    }
    for map_index, part in enumerate(report["parts"]):
        assert list(datasets(events["start", map_index][-1], "input")) == [in_inventory(part["url"])]


def test_imports_are_counted_whether_the_task_fails_or_not(
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


def test_no_secret_is_told(
    airflow: LocalAirflow, run: Run, events: dict[tuple[str, int], list[Event]], aws: dict[str, AdsEmulator]
) -> None:
    tasks = [task for task in aws["aws_prepared"].import_tasks() if task["name"].startswith(f"{run.run_id}-")]
    assert [INTENTION in task["clientRequestToken"] for task in tasks] == [True] * 3
    assert any("X-Amz-Signature" in task.get("errorsAndFailedEntriesZip", "") for task in tasks)
    told = events["start", 0][-1]["run"]["facets"]["airflow"]["task"]
    # With include_full_task_info, which is off by default, it would be there, and OpenLineage hides it only in some.
    assert "client_request_token" not in told
    assert places_of([*SECRETS, *tokens_of(aws)], sent(airflow)) == set()
