"""What OpenLineage is told, by way of its own extractor, redactor and client."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
from airflow.providers.openlineage.plugins.facets import AirflowRunFacet
from airflow.providers.openlineage.utils.utils import TaskInfoComplete
from openlineage.client import OpenLineageClient
from openlineage.client import event_v2 as openlineage
from openlineage.client.transport.file import FileConfig, FileTransport

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsPrepareImportFileOperator, AdsStartImportTaskOperator
from tests.support.openlineage import check_event
from tests.support.task_runs import TRIGGER_CRASHED, Run, run_task
from tests.unit.discovery.test_rvtools import CSV_FILES, pack

TOKEN = "a-token-of-the-user"
SOURCE = "s3://inventory/exports/cmdb.csv"
GOOD_ROWS = "".join(f"{number},web{number}\r\n" for number in range(100))
BAD_ROWS = "1\r\n2\r\n"

DEFERRABLE = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])


class Emitted:
    """The event that OpenLineage's client sent when a task had ended, with everything that it may tell of the task."""

    def __init__(self, run: Run, folder: Path) -> None:
        extractor = DefaultExtractor(run.task)
        failed = run.state != "success"
        lineage: Any = (extractor.extract_on_failure if failed else extractor.extract_on_complete)(None)
        complete = TaskInfoComplete(run.task)
        airflow: Any = AirflowRunFacet(dag={}, dagRun={}, task=complete, taskInstance={}, taskUuid=str(uuid4()))
        self.unredacted = str(complete)
        event = openlineage.RunEvent(
            eventType=openlineage.RunState.FAIL if failed else openlineage.RunState.COMPLETE,
            eventTime=datetime.now(UTC).isoformat(),
            run=openlineage.Run(
                runId=str(uuid4()), facets={"airflow": airflow, **(lineage.run_facets if lineage else {})}
            ),
            job=openlineage.Job(namespace="default", name="dag.task"),
            inputs=lineage.inputs if lineage else [],
            outputs=lineage.outputs if lineage else [],
            producer="https://example.com",
        )
        file = folder / "event.json"
        OpenLineageAdapter(OpenLineageClient(transport=FileTransport(FileConfig(str(file), append=True)))).emit(event)
        self.text = file.read_text()
        self.event = json.loads(self.text)
        check_event(self.event)
        self.facets = self.event["run"]["facets"]

    def datasets(self, kind: str) -> list[tuple[str, str, dict[str, Any]]]:
        """Namespace, name and statistics of the inputs or outputs."""
        return [
            (dataset["namespace"], dataset["name"], self._numbers(dataset.get(f"{kind}Facets", {}), kind))
            for dataset in self.event.get(f"{kind}s", [])
        ]

    def summary(self) -> dict[str, Any]:
        """The import that the event tells of."""
        facet = self.facets["awsDiscovery_import"]
        assert facet["_schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"
        return {name: value for name, value in facet.items() if not name.startswith("_")}

    @staticmethod
    def _numbers(facets: dict[str, Any], kind: str) -> dict[str, Any]:
        statistics = facets.get(f"{kind}Statistics", {})
        return {name: value for name, value in statistics.items() if not name.startswith("_")}


def prepare(**arguments: Any) -> AdsPrepareImportFileOperator:
    defaults: dict[str, Any] = {"source_url": SOURCE, "destination_url": "s3://inventory/prepared"}
    return AdsPrepareImportFileOperator(task_id="prepare", **{**defaults, **arguments})


def start(import_url: str, **arguments: Any) -> AdsStartImportTaskOperator:
    defaults: dict[str, Any] = {"name": "cmdb", "poll_interval": 0.02}
    return AdsStartImportTaskOperator(task_id="start", import_url=import_url, **{**defaults, **arguments})


class TestPrepare:
    def test_tells_of_the_source_and_of_all_files(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        aws_default.upload(SOURCE, "ExternalId,HostName\r\n" + GOOD_ROWS + BAD_ROWS)
        run = run_task(prepare(max_file_bytes=600, on_invalid_rows="quarantine"), monkeypatch)
        emitted = Emitted(run, tmp_path)
        assert emitted.datasets("input") == [("s3://inventory", "exports/cmdb.csv", {"rowCount": 102})]
        parts = run.xcoms["report"]["parts"]
        assert len(parts) > 1
        assert emitted.datasets("output") == [
            *(
                ("s3://inventory", f"prepared/part-{number:04}.csv", {"rowCount": rows, "size": size})
                for number, (rows, size) in enumerate(((p["rows"], p["size_bytes"]) for p in parts), 1)
            ),
            ("s3://inventory", "prepared/quarantine.csv", {"rowCount": 2}),
        ]

    def test_gives_no_numbers_of_rows_for_an_export_of_rvtools(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        aws_default.upload("s3://inventory/rvtools.zip", pack(CSV_FILES))
        run = run_task(prepare(source_url="s3://inventory/rvtools.zip"), monkeypatch)
        emitted = Emitted(run, tmp_path)
        assert emitted.datasets("input") == [("s3://inventory", "rvtools.zip", {})]
        (size,) = [part["size_bytes"] for part in run.xcoms["report"]["parts"]]
        assert emitted.datasets("output") == [("s3://inventory", "prepared/part-0001.zip", {"size": size})]

    def test_tells_of_the_source_alone_if_it_cannot_be_prepared(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        aws_default.upload(SOURCE, "ExternalId,HostName\r\n" + BAD_ROWS)
        run = run_task(prepare(), monkeypatch)
        assert run.state == "failed"
        emitted = Emitted(run, tmp_path)
        assert emitted.datasets("input") == [("s3://inventory", "exports/cmdb.csv", {})]
        assert emitted.datasets("output") == []

    def test_tells_of_no_file_that_was_not_read(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        aws_default.upload("s3://inventory/another.csv", "")
        run = run_task(prepare(), monkeypatch)
        assert run.state == "failed"
        assert Emitted(run, tmp_path).datasets("input") == []


class TestStart:
    @DEFERRABLE
    @pytest.mark.parametrize(("max_failed_records", "state"), [(0, "failed"), (None, "success")])
    def test_tells_of_the_file_and_the_counts_after_waiting(
        self,
        aws_default: AdsEmulator,
        half_bad_inventory: str,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        deferrable: bool,
        max_failed_records: int | None,
        state: str,
    ) -> None:
        aws_default.import_seconds = 0.2
        operator = start(
            half_bad_inventory,
            wait_for_completion=True,
            deferrable=deferrable,
            max_failed_records=max_failed_records,
        )
        run = run_task(operator, monkeypatch)
        assert (run.state, len(run.deferrals)) == (state, int(deferrable))
        emitted = Emitted(run, tmp_path)
        assert emitted.datasets("input") == [("s3://inventory", "inventory.csv", {})]
        assert emitted.datasets("output") == []
        assert emitted.summary() == {k: v for k, v in run.xcoms["import_task"].items() if v is not None}
        assert (emitted.summary()["serverImportSuccess"], emitted.summary()["serverImportFailure"]) == (1, 1)

    def test_tells_that_the_import_goes_on_without_waiting(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        aws_default.import_seconds = 60
        run = run_task(start(inventory), monkeypatch)
        emitted = Emitted(run, tmp_path)
        assert emitted.datasets("input") == [("s3://inventory", "inventory.csv", {})]
        assert (emitted.summary()["importTaskId"], emitted.summary()["status"]) == (run.result, "IMPORT_IN_PROGRESS")

    def test_tells_of_no_import_that_was_refused(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        AdsHook().start_import_task("cmdb", inventory, TOKEN)
        run = run_task(start("s3://inventory/another.csv", client_request_token=TOKEN), monkeypatch)
        assert run.state == "failed"
        emitted = Emitted(run, tmp_path)
        assert emitted.datasets("input") == []
        assert "awsDiscovery_import" not in emitted.facets

    def test_tells_of_no_import_that_the_process_does_not_know(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        aws_default.import_seconds = 60
        operator = start(inventory, wait_for_completion=True, deferrable=True)
        run = run_task(operator, monkeypatch, deferral_failure=TRIGGER_CRASHED)
        assert run.state == "failed"
        emitted = Emitted(run, tmp_path)
        assert emitted.datasets("input") == []
        assert "awsDiscovery_import" not in emitted.facets

    @DEFERRABLE
    def test_tells_no_secrets(
        self,
        aws_default: AdsEmulator,
        half_bad_inventory: str,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        deferrable: bool,
    ) -> None:
        aws_default.import_seconds = 0.2
        operator = start(
            half_bad_inventory, client_request_token=TOKEN, wait_for_completion=True, deferrable=deferrable
        )
        run = run_task(operator, monkeypatch)
        emitted = Emitted(run, tmp_path)
        assert TOKEN in emitted.unredacted, "there is no secret to look for"
        if not deferrable:
            assert "X-Amz-Signature=" in run.task.import_tasks[0].errors_and_failed_entries_zip
        assert TOKEN not in emitted.text
        assert "X-Amz-Signature" not in emitted.text
        assert "Zip" not in json.dumps(emitted.summary())


WITHOUT_OPENLINEAGE = f"""
import sys

# Not all of the provider: Airflow goes by the list of installed packages, and asks each of them for its metadata.
sys.modules.update(dict.fromkeys(["openlineage", "airflow.providers.openlineage.extractors"]))

import pytest
from airflow_provider_ads.operators import AdsPrepareImportFileOperator, AdsStartImportTaskOperator
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


def test_tasks_do_without_the_provider_of_openlineage(aws_default: AdsEmulator) -> None:
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
