from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_provider_ads import hooks
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, ExportFailedError, ExportWaitTimeout
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsExportToS3Operator, export_to_s3
from tests.support.moto import read_object
from tests.support.presigned_urls import s3_error, sending, serving, zip_of
from tests.support.task_runs import TRIGGER_CRASHED, TRIGGER_TIMED_OUT, Run, context_of, run_task

#: botocore itself does not retry.
ONE_ATTEMPT = {"retries": {"total_max_attempts": 1}}

INVENTORY = "ExternalId,HostName,CPU.NumberOfCores,RAM.TotalSizeInMB\n1,a.example,2,4096\n2,b.example,4,8192\n"

both_modes = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    """An emulator whose imports and exports end immediately."""
    with AdsEmulator(import_seconds=0.01, export_seconds=0.01) as emulator:
        yield emulator


@pytest.fixture
def servers(aws_default: AdsEmulator) -> None:
    """Two imported servers."""
    AdsHook().start_import_task("cmdb", aws_default.upload("s3://inventory/servers.csv", INVENTORY))
    while aws_default.import_tasks()[0]["status"] == "IMPORT_IN_PROGRESS":
        time.sleep(0.01)


def operator(**arguments: Any) -> AdsExportToS3Operator:
    defaults = {"task_id": "export", "destination_url": "s3://inventory/exports/", "poll_interval": 0.04, "retries": 2}
    return AdsExportToS3Operator(**{**defaults, **arguments})


def error_of(run: Run) -> AdsCallError:
    assert run.state == "up_for_retry"
    assert isinstance(run.error, AdsCallError)
    return run.error


@contextmanager
def once_started(ads: AdsEmulator, **fields: Any) -> Iterator[None]:
    """Change fields of the export at the second poll, or let it end; until then, it does not end."""
    ads.export_seconds = 3600

    def change() -> None:
        deadline = time.monotonic() + 60
        while ads.calls()["DescribeExportTasks"] < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        for task in ads.export_tasks():
            ads.update_export_task(task["exportId"], **fields)
        ads.export_seconds = 0

    thread = Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.usefixtures("servers")
class TestExport:
    @both_modes
    def test_recommendations_are_written_under_the_id_of_the_export(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool
    ) -> None:
        task = operator(ec2_recommendations={"preferredRegion": "eu-west-1"}, deferrable=deferrable)
        with once_started(aws_default):
            run = run_task(task, monkeypatch)
        assert (run.state, run.error, len(run.deferrals)) == ("success", None, int(deferrable))
        (exported,) = aws_default.export_tasks()
        assert run.result.keys() == {"export_id", "files", "is_truncated"}
        assert (run.result["export_id"], run.result["is_truncated"]) == (exported["exportId"], False)
        folder = f"s3://inventory/exports/{exported['exportId']}/"
        recommendations, inventory = run.result["files"]
        assert re.fullmatch(rf"{folder}EC2InstanceRecommendations-DirectMatch-[\d-]+\.csv", recommendations)
        assert inventory.startswith(f"{folder}MgnInventory-DirectMatch-")
        rows = list(csv.DictReader(read_object(recommendations).decode().splitlines()))
        assert [row["Server.HostName"] for row in rows] == ["a.example", "b.example"]
        assert {row["UserPreference.Region"] for row in rows} == {"Europe (Ireland)"}
        assert run.xcoms["export_task"]["exportStatus"] == "SUCCEEDED"

    @both_modes
    def test_without_preferences_the_eight_files_of_a_summary_are_written(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool
    ) -> None:
        with once_started(aws_default):
            run = run_task(operator(deferrable=deferrable), monkeypatch)
        assert run.state == "success", run.error
        assert len(run.result["files"]) == 8
        for url in run.result["files"]:
            assert read_object(url)

    def test_the_log_begins_with_the_outcome(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with once_started(aws_default):
            run = run_task(operator(), monkeypatch)
        printed = capsys.readouterr().out
        export_id = run.result["export_id"]
        assert f"EXPORT: IN_PROGRESS, started in us-west-2 ({export_id})" in printed
        assert f"EXPORT: SUCCEEDED, 8 files ({export_id}):\n{run.result['files'][0]}\n" in printed

    def test_a_retry_starts_another_export(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        first = run_task(operator(), monkeypatch).result
        second = run_task(operator(), monkeypatch, try_number=2).result
        assert first["export_id"] != second["export_id"]
        assert len(aws_default.export_tasks()) == 2

    @both_modes
    def test_a_truncated_export_succeeds_with_a_warning(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        deferrable: bool,
    ) -> None:
        aws_default.inject("EXPORT_TRUNCATED")
        with once_started(aws_default):
            run = run_task(operator(deferrable=deferrable), monkeypatch)
        assert (run.state, run.result["is_truncated"]) == ("success", True)
        warning = f"EXPORT: SUCCEEDED, incomplete, because it would exceed AWS's size limit ({run.result['export_id']})"
        assert warning in capsys.readouterr().out

    def test_the_url_is_requested_again_just_before_the_download(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def on_event(event: Any) -> Any:
            aws_default.clear_calls()
            return event

        with once_started(aws_default):
            run_task(operator(deferrable=True), monkeypatch, on_event=on_event)
        assert aws_default.calls() == {"DescribeExportTasks": 1}

    def test_the_xcom_has_the_id_as_soon_as_the_export_has_started(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with once_started(aws_default):
            run = run_task(operator(), monkeypatch)
        summaries = [value for _, value in run.pushes]
        assert {summary["exportId"] for summary in summaries} == {run.result["export_id"]}
        # The service returns only the id; the first poll adds the time.
        assert [summary["exportStatus"] for summary in summaries] == ["IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED"]
        assert [bool(summary["exportRequestTime"]) for summary in summaries] == [False, True, True]

    def test_preferences_can_be_templates(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        task = operator(ec2_recommendations={"preferredRegion": "{{ params.region }}"})
        task.render_template_fields({"params": {"region": "eu-west-1"}})
        run = run_task(task, monkeypatch)
        assert run.state == "success", run.error
        assert "Europe (Ireland)" in read_object(run.result["files"][0]).decode()

    def test_lineage_has_the_files_as_outputs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("airflow.providers.openlineage")
        run = run_task(operator(), monkeypatch)
        lineage = run.task.get_openlineage_facets_on_complete(None)
        assert [f"{output.namespace}/{output.name}" for output in lineage.outputs] == run.result["files"]


class TestOutages:
    """A retry starts another export, so an outage does not fail a task whose export has started."""

    @both_modes
    def test_an_outage_just_after_the_start_does_not_fail_the_task(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool
    ) -> None:
        aws_default.upload("s3://inventory/other", "")
        aws_default.inject("ThrottlingException", operation="DescribeExportTasks", calls=2)
        run = run_task(operator(deferrable=deferrable, botocore_config=ONE_ATTEMPT), monkeypatch)
        assert run.state == "success", run.error
        assert len(aws_default.export_tasks()) == 1

    @pytest.fixture
    def pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two further attempts to download, without a pause."""
        monkeypatch.setattr(export_to_s3, "DOWNLOAD_PAUSES", (0, 0))

    @pytest.mark.usefixtures("pauses")
    def test_an_outage_after_the_wait_does_not_fail_the_task(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def on_event(event: Any) -> Any:
            aws_default.inject("ThrottlingException", operation="DescribeExportTasks", calls=2)
            return event

        aws_default.upload("s3://inventory/other", "")
        task = operator(deferrable=True, botocore_config=ONE_ATTEMPT)
        run = run_task(task, monkeypatch, on_event=on_event)
        assert run.state == "success", run.error

    @pytest.mark.usefixtures("pauses")
    @pytest.mark.parametrize("failures", [2, 3])
    def test_a_download_that_fails_temporarily_is_repeated(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, failures: int
    ) -> None:
        aws_default.upload("s3://inventory/other", "")
        answers = [sending(s3_error("SlowDown", "Slow down."), 503)] * failures + [sending(zip_of(("a.csv", b"a")))]
        requests = iter(answers)
        with (
            serving(lambda request: next(requests)(request)) as url,
            once_started(aws_default, exportStatus="SUCCEEDED", configurationsDownloadUrl=url),
        ):
            run = run_task(operator(), monkeypatch)
        if failures == 2:
            assert [read_object(each) for each in run.result["files"]] == [b"a"]
        else:
            assert (error_of(run).code, error_of(run).transient) == ("ArchiveRefused", True)
        assert len(aws_default.export_tasks()) == 1


class TestFailures:
    @both_modes
    def test_a_failed_export_reports_the_reason_of_aws(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool
    ) -> None:
        aws_default.inject("EXPORT_FAILED", message="No servers found.")
        with once_started(aws_default):
            run = run_task(operator(deferrable=deferrable), monkeypatch)
        (task,) = aws_default.export_tasks()
        assert (run.state, type(run.error)) == ("up_for_retry", ExportFailedError)
        assert str(run.error) == (
            f"Run the task again, which starts another export: No servers found.\nEXPORT: FAILED ({task['exportId']})."
        )
        assert run.xcoms["export_task"]["statusMessage"] == "No servers found."

    @both_modes
    def test_an_unknown_status_is_neither_success_nor_failure(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool
    ) -> None:
        with once_started(aws_default, exportStatus="ARCHIVED"):
            error = error_of(run_task(operator(deferrable=deferrable), monkeypatch))
        assert error.code == "UnknownStatus"
        assert "'ARCHIVED'" in str(error)

    @pytest.mark.parametrize(
        ("code", "message", "advice"),
        [
            (
                "OperationNotPermittedException",
                "You have reached limit of maximum allowed concurrent exports. Please wait for current export tasks to "
                "finish before starting another.",
                "Wait until the account's other exports have ended, and run the task again",
            ),
            (
                "OperationNotPermittedException",
                "A successful export is already present Export ID: export-7",
                "Use the export whose id AWS's message ends with, which AdsHook.get_export_task describes",
            ),
            ("OperationNotPermittedException", "No.", "See AWS's message: AWS does not permit"),
            ("AuthorizationErrorException", "No.", "discovery:StartExportTask"),
        ],
    )
    def test_a_denied_start_has_advice(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, code: str, message: str, advice: str
    ) -> None:
        aws_default.inject(code, operation="StartExportTask", message=message)
        error = error_of(run_task(operator(), monkeypatch))
        assert error.code == code
        assert advice in str(error)
        assert message.rstrip(".") in str(error)
        assert "StartExportTask for a summary of all servers in us-west-2" in str(error)

    def test_preferences_that_botocore_refuses_are_not_sent(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        error = error_of(run_task(operator(ec2_recommendations={"region": "us-west-2"}), monkeypatch))
        assert error.code == "ParamValidationError"
        assert '"region"' in str(error)
        assert not aws_default.calls()

    @pytest.mark.parametrize("preferences", ["{'preferredRegion': 'us-west-2'}", ["us-west-2"], {"enabled": True}])
    def test_rendered_preferences_are_checked_before_any_call(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, preferences: Any
    ) -> None:
        task = operator()
        task.ec2_recommendations = preferences
        run = run_task(task, monkeypatch)
        with pytest.raises(ValueError, match="ec2_recommendations must be a dictionary"):
            raise run.error or AssertionError("not refused")
        assert not aws_default.calls()

    def test_preferences_with_enabled_are_refused_when_the_dag_is_parsed(self) -> None:
        with pytest.raises(ValueError, match="without 'enabled'"):
            operator(ec2_recommendations={"enabled": True})

    @both_modes
    def test_a_missing_permission_to_describe_has_advice(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool
    ) -> None:
        aws_default.inject("AuthorizationErrorException", operation="DescribeExportTasks")
        run = run_task(operator(deferrable=deferrable), monkeypatch)
        assert str(error_of(run)).startswith("Allow discovery:DescribeExportTasks in the IAM policy")
        assert run.xcoms["export_task"]["exportId"] in str(run.error)

    def test_an_invalid_destination_is_refused_before_any_call(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = run_task(operator(destination_url="inventory/exports"), monkeypatch)
        with pytest.raises(ValueError, match="destination_url must have the form s3://bucket/prefix"):
            raise run.error or AssertionError("not refused")
        assert not aws_default.calls()

    @both_modes
    def test_an_export_that_is_not_listed_ends_the_wait(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool
    ) -> None:
        with once_started(aws_default, exportId="other"):
            error = error_of(run_task(operator(deferrable=deferrable), monkeypatch))
        assert error.code == "ExportTaskNotFound"

    @both_modes
    def test_a_deleted_archive_has_advice(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, deferrable: bool
    ) -> None:
        url = f"{aws_default.endpoint_url}/inventory/no"
        with once_started(aws_default, exportStatus="SUCCEEDED", configurationsDownloadUrl=url):
            error = error_of(run_task(operator(deferrable=deferrable), monkeypatch))
        assert error.code == "ArchiveNotFound"
        assert "Run the task again, which starts another export" in str(error)

    def test_an_archive_that_is_not_offered_has_advice(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with once_started(aws_default, exportStatus="SUCCEEDED"):
            error = error_of(run_task(operator(), monkeypatch))
        assert error.code == "ArchiveNotFound"
        assert "AWS does not offer the archive" in str(error)

    def test_names_that_differ_only_in_case_do_not_overwrite_each_other(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.upload("s3://inventory/other", "")
        archive = zip_of(("1_NetworkInterface.csv", b"all servers"), ("1_networkInterface.csv", b"one agent"))
        with (
            serving(archive) as url,
            once_started(aws_default, exportStatus="SUCCEEDED", configurationsDownloadUrl=url),
        ):
            error = error_of(run_task(operator(), monkeypatch))
        assert error.code == "ArchiveNotReadable"
        assert "differ only in case" in str(error)
        assert not S3Hook().list_keys("inventory", "exports/")


class TestTimeout:
    def test_the_message_names_the_export_and_its_last_status(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.export_seconds = 3600
        task = operator(deferrable=True, execution_timeout=timedelta(seconds=1))
        error = error_of(run_task(task, monkeypatch))
        assert isinstance(error, ExportWaitTimeout)
        (started,) = aws_default.export_tasks()
        assert f"Last status: EXPORT: IN_PROGRESS ({started['exportId']})." in str(error)
        assert "a retry starts another export" in str(error)

    def test_an_export_that_ended_while_no_triggerer_ran_counts(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.export_seconds = 3600
        original = hooks.AdsHook.get_export_tasks

        def describe(hook: Any, export_ids: Any) -> Any:
            # Only the resumed task describes the export.
            aws_default.export_seconds = 0
            while aws_default.export_tasks()[0]["exportStatus"] == "IN_PROGRESS":
                time.sleep(0.01)
            return original(hook, export_ids)

        monkeypatch.setattr(hooks.AdsHook, "get_export_tasks", describe)
        aws_default.upload("s3://inventory/other", "")
        run = run_task(operator(deferrable=True), monkeypatch, TRIGGER_TIMED_OUT)
        assert run.state == "success", run.error
        assert len(run.result["files"]) == 8

    def test_without_the_id_the_task_times_out(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        aws_default.export_seconds = 3600
        run = run_task(operator(deferrable=True, do_xcom_push=False), monkeypatch, TRIGGER_TIMED_OUT)
        assert isinstance(error_of(run), ExportWaitTimeout)
        assert run.xcoms == {}

    def test_a_crashed_trigger_names_the_xcom(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        aws_default.export_seconds = 3600
        error = error_of(run_task(operator(deferrable=True), monkeypatch, TRIGGER_CRASHED))
        assert error.code == "TriggerFailure"
        assert "the export in the XCom 'export_task'" in str(error)

    def test_a_killed_task_logs_that_the_export_continues(
        self, aws_default: AdsEmulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = operator()
        task.import_tasks = [AdsHook().get_export_task(aws_default.add_export_task())]
        task.on_kill()
        assert "A retry starts another export, although this one continues at AWS: EXPORT: IN_PROGRESS (export-" in (
            capsys.readouterr().out
        )
        task.import_tasks = [AdsHook().get_export_task(aws_default.add_export_task(exportStatus="SUCCEEDED"))]
        task.on_kill()
        assert "The task was killed" not in capsys.readouterr().out

    def test_a_task_killed_between_the_start_and_the_wait_names_the_export(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def kill(*_: Any) -> None:
            raise SystemExit

        monkeypatch.setattr(AdsExportToS3Operator, "wait", kill)
        task = operator()
        with pytest.raises(SystemExit):
            task.execute(context_of(task))
        task.on_kill()
        (started,) = aws_default.export_tasks()
        assert f"EXPORT: IN_PROGRESS ({started['exportId']})" in capsys.readouterr().out
