"""OpenLineage events as its own extractor, redactor and client create them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor, OperatorLineage
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
from airflow.providers.openlineage.plugins.facets import AirflowRunFacet
from airflow.providers.openlineage.utils.utils import TaskInfoComplete
from openlineage.client import OpenLineageClient
from openlineage.client import event_v2 as openlineage
from openlineage.client.transport.file import FileConfig, FileTransport

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.operators import (
    AdsExportToS3Operator,
    AdsPrepareImportFileOperator,
    AdsStartImportTaskOperator,
)
from tests.support.inventories import CSV_FILES, pack
from tests.support.openlineage import check_event
from tests.support.task_runs import TRIGGER_CRASHED, Run, run_task

TOKEN = "a-token-of-the-user"
SOURCE = "s3://inventory/exports/cmdb.csv"
GOOD_ROWS = "".join(f"{number},web{number}\r\n" for number in range(100))
BAD_ROWS = "1\r\n2\r\n"


class Emitted:
    """The event that OpenLineage's client sends for a run that has ended, with all information about the task."""

    def __init__(self, run: Run, folder: Path) -> None:
        extractor = DefaultExtractor(run.task)
        failed = run.state != "success"
        extract = extractor.extract_on_failure if failed else extractor.extract_on_complete
        lineage: Any = extract(None) or OperatorLineage()
        complete = TaskInfoComplete(run.task)
        airflow: Any = AirflowRunFacet(dag={}, dagRun={}, task=complete, taskInstance={}, taskUuid=str(uuid4()))
        self.unredacted = str(complete)
        event = openlineage.RunEvent(
            eventType=openlineage.RunState.FAIL if failed else openlineage.RunState.COMPLETE,
            eventTime=datetime.now(UTC).isoformat(),
            run=openlineage.Run(runId=str(uuid4()), facets={"airflow": airflow, **lineage.run_facets}),
            job=openlineage.Job(namespace="default", name="dag.task"),
            inputs=lineage.inputs,
            outputs=lineage.outputs,
            producer="https://example.com",
        )
        file = folder / "event.json"
        OpenLineageAdapter(OpenLineageClient(transport=FileTransport(FileConfig(str(file), append=True)))).emit(event)
        self.text = file.read_text()
        event_json = json.loads(self.text)
        check_event(event_json)
        self.inputs = self._datasets(event_json, "input")
        self.outputs = self._datasets(event_json, "output")
        self.facet = event_json["run"]["facets"].get("awsDiscovery_import")
        self.summary = self._fields(self.facet)

    def _datasets(self, event: dict[str, Any], kind: str) -> list[tuple[str, str, dict[str, Any]]]:
        datasets = event.get(f"{kind}s", [])
        statistics = [dataset.get(f"{kind}Facets", {}).get(f"{kind}Statistics") for dataset in datasets]
        return [
            (each["namespace"], each["name"], self._fields(facet))
            for each, facet in zip(datasets, statistics, strict=True)
        ]

    @staticmethod
    def _fields(facet: dict[str, Any] | None) -> dict[str, Any]:
        return {name: value for name, value in (facet or {}).items() if not name.startswith("_")}


@pytest.fixture
def emit(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[Run, Emitted]]:
    """Run a task against the emulator, and return the run and its event."""

    def emit(task: Any, **arguments: Any) -> tuple[Run, Emitted]:
        run = run_task(task, monkeypatch, **arguments)
        return run, Emitted(run, tmp_path)

    return emit


def prepare(**arguments: Any) -> AdsPrepareImportFileOperator:
    defaults: dict[str, Any] = {"source_url": SOURCE, "destination_url": "s3://inventory/prepared"}
    return AdsPrepareImportFileOperator(task_id="prepare", **{**defaults, **arguments})


def start(import_url: str | list[str], **arguments: Any) -> AdsStartImportTaskOperator:
    defaults: dict[str, Any] = {"name": "cmdb", "poll_interval": 0.02}
    return AdsStartImportTaskOperator(task_id="start", import_url=import_url, **{**defaults, **arguments})


class TestPrepare:
    def test_the_event_has_the_source_and_every_written_file(self, ads: AdsEmulator, emit: Any) -> None:
        ads.upload(SOURCE, "ExternalId,HostName\r\n" + GOOD_ROWS + BAD_ROWS)
        run, emitted = emit(prepare(max_file_bytes=600, on_invalid_rows="quarantine"))
        assert emitted.inputs == [("s3://inventory", "exports/cmdb.csv", {"rowCount": 102})]
        parts = run.xcoms["report"]["parts"]
        assert len(parts) > 1
        *written, quarantine = emitted.outputs
        assert written == [
            ("s3://inventory", f"prepared/part-{n:04}.csv", {"rowCount": part["rows"], "size": part["size_bytes"]})
            for n, part in enumerate(parts, 1)
        ]
        assert quarantine == ("s3://inventory", "prepared/quarantine.csv", {"rowCount": 2})

    def test_the_event_has_no_row_counts_for_an_rvtools_export(self, ads: AdsEmulator, emit: Any) -> None:
        ads.upload("s3://inventory/rvtools.zip", pack(CSV_FILES))
        run, emitted = emit(prepare(source_url="s3://inventory/rvtools.zip"))
        assert emitted.inputs == [("s3://inventory", "rvtools.zip", {})]
        (part,) = run.xcoms["report"]["parts"]
        assert emitted.outputs == [("s3://inventory", "prepared/part-0001.zip", {"size": part["size_bytes"]})]

    @pytest.mark.parametrize(
        ("uploaded", "inputs"),
        [(SOURCE, [("s3://inventory", "exports/cmdb.csv", {})]), ("s3://inventory/another.csv", [])],
        ids=["invalid file", "missing file"],
    )
    def test_the_event_of_a_failed_task_has_only_a_source_that_was_read(
        self, ads: AdsEmulator, emit: Any, uploaded: str, inputs: list[Any]
    ) -> None:
        ads.upload(uploaded, "ExternalId,HostName\r\n" + BAD_ROWS)
        run, emitted = emit(prepare())
        assert (run.state, emitted.inputs, emitted.outputs) == ("failed", inputs, [])


class TestStart:
    @pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
    @pytest.mark.parametrize(("max_failed_records", "state"), [(0, "failed"), (None, "success")])
    def test_the_event_after_a_wait_has_the_file_and_the_counts_but_no_secret(
        self,
        ads: AdsEmulator,
        half_bad_inventory: str,
        emit: Any,
        deferrable: bool,
        max_failed_records: int | None,
        state: str,
    ) -> None:
        ads.import_seconds = 0.2
        wait = {"wait_for_completion": True, "deferrable": deferrable, "max_failed_records": max_failed_records}
        run, emitted = emit(start(half_bad_inventory, client_request_token=TOKEN, **wait))
        assert (run.state, len(run.deferrals)) == (state, int(deferrable))
        assert (emitted.inputs, emitted.outputs) == ([("s3://inventory", "inventory.csv", {})], [])
        assert emitted.facet["_schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"
        assert emitted.summary == {k: v for k, v in run.xcoms["import_task"].items() if v is not None}
        assert (emitted.summary["serverImportSuccess"], emitted.summary["serverImportFailure"]) == (1, 1)
        assert TOKEN in emitted.unredacted, "the task has no secret to redact"
        if not deferrable:
            assert "X-Amz-Signature=" in run.task.import_tasks[0].errors_and_failed_entries_zip
        assert TOKEN not in emitted.text
        assert "X-Amz-Signature" not in emitted.text
        assert "Zip" not in json.dumps(emitted.summary)

    def test_the_event_without_a_wait_has_the_running_import(self, ads: AdsEmulator, inventory: str, emit: Any) -> None:
        ads.import_seconds = 60
        run, emitted = emit(start(inventory))
        assert emitted.inputs == [("s3://inventory", "inventory.csv", {})]
        assert (emitted.summary["importTaskId"], emitted.summary["status"]) == (run.result, "IMPORT_IN_PROGRESS")

    @pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
    @pytest.mark.parametrize("size", [1, 3])
    def test_the_event_of_a_list_has_every_file_and_all_summaries_in_one_facet(
        self, ads: AdsEmulator, emit: Any, deferrable: bool, size: int
    ) -> None:
        files = [ads.upload(f"s3://inventory/{number}.csv", "ExternalId\n1\n") for number in range(size)]
        ads.upload(files[-1], "ExternalId,OS.Name\n1,Linux\n,Linux\n")
        run, emitted = emit(start(files, wait_for_completion=True, deferrable=deferrable))
        assert run.state == "failed"
        assert emitted.inputs == [("s3://inventory", f"{number}.csv", {}) for number in range(size)]
        summaries = [{k: v for k, v in each.items() if v is not None} for each in run.xcoms["import_task"]]
        assert emitted.summary == {"tasks": summaries}
        assert summaries[-1]["serverImportFailure"] == 1
        assert "X-Amz-Signature" not in emitted.text

    @pytest.mark.parametrize("failure", [None, TRIGGER_CRASHED], ids=["refused start", "failed deferral"])
    def test_the_event_has_no_import_if_the_process_received_none(
        self, ads: AdsEmulator, inventory: str, emit: Any, failure: Any
    ) -> None:
        ads.import_seconds = 60
        region_name = "us-west-2" if failure else "eu-west-1"
        task = start(inventory, wait_for_completion=True, deferrable=True, region_name=region_name)
        run, emitted = emit(task, deferral_failure=failure)
        assert (run.state, emitted.inputs, emitted.facet) == ("failed", [], None)


WITHOUT_OPENLINEAGE = f"""
import sys

# Airflow asks every installed provider for its metadata, so do not hide the whole OpenLineage provider.
sys.modules.update(dict.fromkeys(["openlineage", "airflow.providers.openlineage.extractors"]))

import pytest
from airflow_provider_ads.operators import (
    AdsExportToS3Operator,
    AdsPrepareImportFileOperator,
    AdsStartImportTaskOperator,
)
from tests.support.task_runs import run_task

with pytest.MonkeyPatch.context() as monkeypatch:
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare", source_url={SOURCE!r}, destination_url="s3://inventory/prepared"
    )
    prepared = run_task(prepare, monkeypatch)
    start = AdsStartImportTaskOperator(
        task_id="start", name="cmdb", import_url=prepared.result[0], wait_for_completion=True, deferrable=False,
        poll_interval=0.02,
    )
    started = run_task(start, monkeypatch)
print(prepared.state, started.state, "airflow_provider_ads.lineage" in sys.modules)
"""


def test_the_event_of_an_export_has_every_written_file_but_no_secret(
    ads: AdsEmulator, inventory: str, emit: Any
) -> None:
    run, emitted = emit(
        AdsExportToS3Operator(task_id="export", destination_url="s3://inventory/exports", poll_interval=0.02)
    )
    assert run.state == "success", run.error
    written: Any = [("s3://inventory", url.removeprefix("s3://inventory/"), {}) for url in run.result["files"]]
    assert (emitted.inputs, emitted.outputs, len(written)) == ([], written, 8)
    assert "X-Amz-Signature" not in emitted.text


def test_tasks_run_without_the_openlineage_provider(aws_default: AdsEmulator) -> None:
    aws_default.upload(SOURCE, "ExternalId,HostName\r\n" + GOOD_ROWS)
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_OPENLINEAGE],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "success success False"
