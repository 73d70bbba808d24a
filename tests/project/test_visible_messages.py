"""Outcomes and advice are visible in Airflow's UI, which shows the beginning of a line."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.operators import (
    AdsExportToS3Operator,
    AdsPrepareImportFileOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import Run, run_task

URL = "s3://migration-inventory/cmdb/2026-11-25/servers.csv"

#: The columns by which the outcome and the advice must begin. Both are visible without scrolling.
BEGUN, VISIBLE = 40, 90

#: A template without an identity in the second row.
PARTLY_BAD = "ExternalId,HostName,OS.Name\n1,a.example,Linux\n,,Linux\n"


@pytest.fixture(autouse=True)
def source(aws_default: AdsEmulator) -> None:
    aws_default.upload(URL, PARTLY_BAD)


def start(import_url: Any = URL, **arguments: Any) -> AdsStartImportTaskOperator:
    arguments = {"wait_for_completion": True, "poll_interval": 0.05, **arguments}
    return AdsStartImportTaskOperator(task_id="start", name="cmdb-2026-11-25", import_url=import_url, **arguments)


def shown(run: Run) -> str:
    """Return the error of a task as Airflow's UI shows it."""
    return f"{type(run.error).__name__}: {run.error}"


class TestMistakes:
    """Beginners' mistakes."""

    @staticmethod
    def wrong_region(ads: AdsEmulator) -> Any:
        return start(region_name="eu-west-1")

    @staticmethod
    def missing_bucket(ads: AdsEmulator) -> Any:
        return AdsPrepareImportFileOperator(
            task_id="prepare", source_url="s3://migration-inventary/servers.csv", destination_url="s3://inventory/new"
        )

    @staticmethod
    def missing_bucket_of_an_import(ads: AdsEmulator) -> Any:
        return start("s3://migration-inventary/servers.csv")

    @staticmethod
    def wrong_headers(ads: AdsEmulator) -> Any:
        ads.upload(URL, "Server,IP\nweb-1,10.0.0.1\n")
        return start()

    @staticmethod
    def missing_permission(ads: AdsEmulator) -> Any:
        ads.inject("AuthorizationErrorException", operation="StartImportTask", message="User: importer is denied")
        return start()

    @staticmethod
    def missing_connection(ads: AdsEmulator) -> Any:
        return start(aws_conn_id="aws_migration", region_name="us-west-2")

    @pytest.mark.parametrize(
        ("mistake", "advice"),
        [
            (wrong_region, "Set region_name to the account's Migration Hub home region"),
            (missing_bucket, "Correct the name of the bucket, or create it"),
            (missing_bucket_of_an_import, "Check that the file exists and that the role may read it"),
            (wrong_headers, "Convert the file with AdsPrepareImportFileOperator"),
            (missing_permission, "Allow discovery:StartImportTask in the IAM policy"),
            (missing_connection, "Create the connection 'aws_migration' (Admin > Connections"),
        ],
        ids=lambda value: value.__name__.replace("_", " ") if callable(value) else "",
    )
    def test_the_visible_part_of_the_message_says_what_to_do(
        self, mistake: Callable[[AdsEmulator], Any], advice: str, aws_default: AdsEmulator, monkeypatch: Any
    ) -> None:
        run = run_task(mistake(aws_default), monkeypatch)
        message = shown(run)
        print(f"\n| {mistake.__name__.replace('_', ' ')} | {message.splitlines()[0][:VISIBLE]} |")
        assert message.index(advice) <= BEGUN
        assert advice in message[:VISIBLE]

    @pytest.mark.parametrize(
        "mistake", [wrong_region, missing_bucket, wrong_headers, missing_permission, missing_connection]
    )
    def test_airflow_shows_one_traceback_and_nothing_twice(
        self,
        mistake: Callable[[AdsEmulator], Any],
        aws_default: AdsEmulator,
        monkeypatch: Any,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        run = run_task(mistake(aws_default), monkeypatch)
        assert run.error is not None
        shown_error = "".join(traceback.format_exception(run.error))
        assert shown_error.count("Traceback (most recent call last)") == 1
        everything = capsys.readouterr().out + shown_error
        assert [everything.count(line) for line in str(run.error).splitlines()] == [1, 1]


class TestOutcomes:
    """Status and counts begin by column 40."""

    @staticmethod
    def lines(task: Any, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Run a task, and return the lines of its log and of its error in the order in which Airflow shows them."""
        log.set_level(logging.INFO)
        monkeypatch.setattr(type(task), "log", logging.getLogger("task"))
        run = run_task(task, monkeypatch)
        logged = [record.getMessage() for record in log.records if record.name == "task"]
        # A warning of Airflow itself, because the test is not its task runner.
        logged = [message for message in logged if "execute cannot be called outside" not in message]
        return "\n".join([*logged, *([shown(run)] if run.error else [])]).splitlines()

    def test_a_good_import(
        self, aws_default: AdsEmulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.upload(URL, "ExternalId\n1\n2\n")
        started, ended = self.lines(start(), caplog, monkeypatch)
        assert started.startswith("IMPORT_IN_PROGRESS: ")
        assert ended.startswith("IMPORT_COMPLETE: 2 imported, 0 failed. servers.csv ('cmdb-2026-11-25', import-task-")

    @pytest.mark.parametrize("limit", [0, None], ids=["failed", "tolerated"])
    def test_a_partial_failure(
        self,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        limit: int | None,
    ) -> None:
        lines = self.lines(start(max_failed_records=limit), caplog, monkeypatch)[1:]
        advice, outcome = lines if limit == 0 else lines[::-1]
        assert outcome.startswith("IMPORT_COMPLETE_WITH_ERRORS: 1 imported, 1 failed. servers.csv (")
        expected = "Correct the failed records and import" if limit == 0 else "AdsFailedRecordsToS3Operator fetches"
        assert advice.index(expected) <= BEGUN

    def test_several_imports(
        self, aws_default: AdsEmulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good = aws_default.upload("s3://migration-inventory/good.csv", "ExternalId\n1\n2\n")
        lines = self.lines(start([good, URL]), caplog, monkeypatch)
        assert lines[0] == "2 of 2 imports started"
        # How many lines of progress precede the end depends on when the imports are polled.
        advice, total, failed, succeeded = lines[-4:]
        assert advice.index("Correct the failed records") <= BEGUN
        assert total == "1 of 2 imports succeeded: 3 imported, 1 failed"
        assert failed.startswith("IMPORT_COMPLETE_WITH_ERRORS  1 imported  1 failed  cmdb-2026-11-25-servers  import-")
        assert succeeded.startswith("IMPORT_COMPLETE  ")

    def test_a_good_and_a_failed_export(
        self, aws_default: AdsEmulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def export(task_id: str) -> AdsExportToS3Operator:
            return AdsExportToS3Operator(
                task_id=task_id, destination_url="s3://migration-inventory", poll_interval=0.05
            )

        aws_default.inject("EXPORT_FAILED", calls=1, message="No servers found")
        started, advice, outcome = self.lines(export("failed"), caplog, monkeypatch)
        assert started.startswith("EXPORT: IN_PROGRESS, started in us-west-2 (export-")
        assert advice.index("Run the task again") <= BEGUN
        assert outcome.startswith("EXPORT: FAILED (export-")
        caplog.clear()
        started, ended, *files = self.lines(export("good"), caplog, monkeypatch)
        assert ended.startswith("EXPORT: SUCCEEDED, 8 files (export-")
        assert len(files) == 8

    @pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])
    def test_a_skip_is_logged_once(
        self,
        aws_default: AdsEmulator,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        deferrable: bool,
    ) -> None:
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE_WITH_ERRORS", serverImportFailure=2)
        sensor = AdsImportTaskSensor(
            task_id="wait", import_task_id=import_task_id, soft_fail=True, deferrable=deferrable, poke_interval=0.05
        )
        lines = self.lines(sensor, caplog, monkeypatch)
        assert lines[0].startswith("Correct the failed records")
        assert lines[1].startswith("IMPORT_COMPLETE_WITH_ERRORS: ")
        assert lines[2].startswith("AirflowSkipException: Skip")
        assert len(lines) == 3
