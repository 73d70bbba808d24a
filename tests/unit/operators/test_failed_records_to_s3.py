from __future__ import annotations

import re
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsFailedRecordsToS3Operator
from airflow_provider_ads.version_compat import AirflowSkipException
from tests.support.task_runs import run_task

HEADER = "ExternalId,HostName,RAM.TotalSizeInMB\r\n"
GOOD = "1,a.example,1024\r\n"
NOT_A_NUMBER = '2,"b.example","much, ""very"" much"\r\n'
WITHOUT_IDENTITY = ",,2048\r\n"


def operator(import_task_id: Any, destination_url: str = "s3://inventory/failed/") -> AdsFailedRecordsToS3Operator:
    return AdsFailedRecordsToS3Operator(
        task_id="fetch", import_task_id=import_task_id, destination_url=destination_url, retries=2
    )


def imported(ads: AdsEmulator, text: str) -> str:
    """Import a file, and return the id when the import has ended."""
    hook = AdsHook()
    import_task_id = hook.start_import_task("cmdb", ads.upload("s3://inventory/servers.csv", text)).import_task_id
    while hook.get_import_task(import_task_id).status == "IMPORT_IN_PROGRESS":
        pass
    return import_task_id


def content(url: str) -> bytes:
    bucket_name, key = S3Hook.parse_s3_url(url)
    body: bytes = S3Hook().get_key(key, bucket_name).get()["Body"].read()
    return body


class TestFetch:
    def test_failed_rows_are_copied_unchanged(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import_task_id = imported(aws_default, HEADER + GOOD + NOT_A_NUMBER + WITHOUT_IDENTITY)
        run = run_task(operator(import_task_id), monkeypatch)
        folder = f"s3://inventory/failed/{import_task_id}"
        assert run.state == "success"
        assert run.result == {
            "failed_records": 2,
            "errors_url": f"{folder}/errors.csv",
            "failed_entries_url": f"{folder}/failed-entries.csv",
        }
        assert content(run.result["failed_entries_url"]) == (HEADER + NOT_A_NUMBER + WITHOUT_IDENTITY).encode()
        assert len(content(run.result["errors_url"]).splitlines()) == 1 + 2
        printed = capsys.readouterr().out
        assert (
            f"2 failed rows in {folder}/failed-entries.csv, reasons in {folder}/errors.csv. IMPORT_COMPLETE" in printed
        )
        assert re.search(r"^3 +RAM.TotalSizeInMB +2 ", printed, re.MULTILINE)

    def test_the_rows_of_a_failed_import_are_copied(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import_task_id = imported(aws_default, HEADER + WITHOUT_IDENTITY)
        assert AdsHook().get_import_task(import_task_id).status == "IMPORT_FAILED"
        run = run_task(operator(import_task_id), monkeypatch)
        assert content(run.result["failed_entries_url"]) == (HEADER + WITHOUT_IDENTITY).encode()
        assert "1 failed row in s3://inventory/failed/" in capsys.readouterr().out

    def test_several_imports_have_a_list_of_results_in_order(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = [imported(aws_default, HEADER + row) for row in (GOOD, GOOD + NOT_A_NUMBER)]
        # A task that was skipped returns no id.
        results = run_task(operator([None, *ids]), monkeypatch).result
        assert [result["failed_records"] for result in results] == [0, 1]
        assert results[0] == {"failed_records": 0, "errors_url": None, "failed_entries_url": None}
        assert ids[1] in results[1]["errors_url"]

    def test_a_retry_writes_the_same_files(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        import_task_id = imported(aws_default, HEADER + GOOD + NOT_A_NUMBER)
        first = run_task(operator(import_task_id), monkeypatch).result
        before = content(first["failed_entries_url"])
        assert run_task(operator(import_task_id), monkeypatch, try_number=2).result == first
        assert content(first["failed_entries_url"]) == before
        assert len(S3Hook().list_keys("inventory", "failed/")) == 2

    def test_a_failed_import_without_an_archive_has_no_failed_rows(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = run_task(operator(aws_default.add_import_task(status="IMPORT_FAILED")), monkeypatch)
        assert (run.state, run.result["failed_records"]) == ("success", 0)
        assert "no archive with the reasons" in capsys.readouterr().out


class TestSkip:
    @pytest.mark.parametrize("import_task_id", [None, "None", "", [], [None], ["None", None]])
    def test_the_task_is_skipped_without_an_import(
        self, aws_default: AdsEmulator, import_task_id: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = run_task(operator(import_task_id), monkeypatch)
        assert (run.state, type(run.error)) == ("skipped", AirflowSkipException)
        assert not aws_default.calls()


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"destination_url": "inventory/failed"}, "destination_url must have the form s3://bucket/prefix"),
            ({"import_task_id": "import-task-1"}, "An import_task_id is 'import-task-' followed by"),
        ],
    )
    def test_an_invalid_parameter_is_refused_before_any_call(
        self, aws_default: AdsEmulator, arguments: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = run_task(operator(**{"import_task_id": aws_default.add_import_task(), **arguments}), monkeypatch)
        with pytest.raises(ValueError, match=message):
            raise run.error or AssertionError("not refused")
        assert not aws_default.calls()

    def test_an_import_in_progress(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        done, running = aws_default.add_import_task(status="IMPORT_COMPLETE"), aws_default.add_import_task()
        error = refusal(operator([done, running]), monkeypatch)
        assert (error.code, error.import_task_id) == ("ImportInProgress", running)

    @pytest.mark.parametrize("path", [None, "/inventory/deleted.zip"], ids=["not offered", "deleted"])
    def test_an_archive_that_does_not_exist(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, path: str | None
    ) -> None:
        url = path and aws_default.endpoint_url + path
        import_task_id = aws_default.add_import_task(
            status="IMPORT_COMPLETE_WITH_ERRORS", errorsAndFailedEntriesZip=url
        )
        error = refusal(operator(import_task_id), monkeypatch)
        assert (error.code, error.import_task_id) == ("ArchiveNotFound", import_task_id)
        assert "mport the file again to get a new archive" in str(error)


def refusal(task: AdsFailedRecordsToS3Operator, monkeypatch: pytest.MonkeyPatch) -> AdsCallError:
    run = run_task(task, monkeypatch)
    assert run.state == "up_for_retry"
    assert isinstance(run.error, AdsCallError)
    return run.error
