from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.operators import AdsPrepareImportFileOperator
from airflow_provider_ads.version_compat import AirflowFailException
from tests.support.task_runs import Run, run_task

SOURCE = "s3://inventory/cmdb.csv"
FOLDER = "s3://inventory/prepared/run/"
EXPORT = "Server Name,Memory,Rack\r\n" + "".join(f"web{number},1024,R1\r\n" for number in range(100))
INVALID_ROWS = "web100,much,R1\r\n,1024,R1\r\n"
MAPPING = {"Server Name": "HostName", "Memory": "RAM.TotalSizeInMB"}


def operator(**arguments: Any) -> AdsPrepareImportFileOperator:
    defaults = {"source_url": SOURCE, "destination_url": FOLDER, "column_mapping": MAPPING}
    return AdsPrepareImportFileOperator(task_id="prepare", retries=2, **{**defaults, **arguments})


def objects(bucket_name: str = "inventory", prefix: str = "prepared/") -> dict[str, bytes]:
    """Return the objects in S3 by key without the prefix."""
    hook = S3Hook()
    keys = hook.list_keys(bucket_name, prefix) or []
    return {key.removeprefix(prefix): hook.get_key(key, bucket_name).get()["Body"].read() for key in keys}


@pytest.fixture
def prepared(aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that has prepared 102 rows, two of which are invalid, in three parts."""
    aws_default.upload(SOURCE, EXPORT + INVALID_ROWS)
    return run_task(operator(max_file_bytes=600, on_invalid_rows="quarantine"), monkeypatch)


class TestPrepare:
    def test_parts_and_quarantine_are_uploaded_and_the_urls_of_the_parts_returned(self, prepared: Run) -> None:
        assert prepared.state == "success"
        assert prepared.result == [f"{FOLDER}part-000{number}.csv" for number in (1, 2, 3)]
        uploaded = {name: content.decode().splitlines() for name, content in objects().items()}
        rows = [row for number in (1, 2, 3) for row in uploaded[f"run/part-000{number}.csv"][1:]]
        assert rows == [f"web{number},1024" for number in range(100)]
        assert [row.partition(",")[0] for row in uploaded["run/quarantine.csv"]] == ["Line", "102", "103"]
        assert [part["url"] for part in prepared.xcoms["report"]["parts"]] == prepared.result
        assert prepared.xcoms["report"]["quarantine_url"] == f"{FOLDER}quarantine.csv"

    def test_the_log_shows_the_report(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        assert run_task(operator(max_file_bytes=600, do_xcom_push=False), monkeypatch).xcoms == {}
        printed = capsys.readouterr().out
        assert f"Prepared {SOURCE} in {FOLDER}:" in printed
        assert "'Rack' is ignored: it is not a template column" in printed

    def test_a_retry_writes_the_same_files(self, prepared: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        before = objects()
        task = operator(max_file_bytes=600, on_invalid_rows="quarantine")
        again = run_task(task, monkeypatch, try_number=2)
        assert (again.result, again.xcoms, objects()) == (prepared.result, prepared.xcoms, before)

    def test_a_part_of_maximum_size_is_uploaded_in_one_request(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.upload(SOURCE, "HostName,OS.Name\r\n" + 100 * f"web,{'x' * 99_000}\r\n")
        run = run_task(operator(column_mapping=None), monkeypatch)
        assert run.xcoms["report"]["parts"][0]["size_bytes"] > 9_000_000
        assert aws_default.iam_actions()["s3:PutObject"] == len(run.result)

    def test_each_mapped_task_instance_has_its_own_folder(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for map_index in range(2):
            aws_default.upload(SOURCE, f"Server Name,Memory\r\nweb{map_index},1024\r\n")
            run = run_task(operator(), monkeypatch, map_index=map_index)
            assert run.result == [f"{FOLDER}{map_index}/part-0001.csv"]
        assert b"web0" in objects()["run/0/part-0001.csv"]

    def test_no_temporary_files_remain(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        aws_default.upload(SOURCE, EXPORT + INVALID_ROWS)
        for on_invalid_rows in ("fail", "quarantine"):
            run_task(operator(on_invalid_rows=on_invalid_rows), monkeypatch)
        assert list(tmp_path.iterdir()) == []

    def test_a_missing_connection_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        error = run_task(operator(aws_conn_id="nope", region_name="us-west-2"), monkeypatch).error
        assert str(error).startswith("Create the connection 'nope' (Admin > Connections, or 'airflow connections add")
        assert f"GetObject for {SOURCE} in us-west-2 with aws_conn_id='nope' failed with NoCred" in str(error)

    def test_parameters_are_templated(self) -> None:
        own = {"source_url", "destination_url", "column_mapping", "row_filter", "tags"}
        assert set(AdsPrepareImportFileOperator.template_fields) == {*own, "aws_conn_id", "region_name", "verify"}


class TestQuota:
    @pytest.mark.parametrize(
        ("used", "message", "level"),
        [
            (12_500, "The file's 100 rows need 0.4% of the account's 25,000 import records", "info"),
            (24_901, "Not enough import records are left. The file's 100 rows need", "warning"),
        ],
    )
    def test_the_log_shows_how_many_records_the_rows_need(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        used: int,
        message: str,
        level: str,
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        aws_default.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=used)
        assert run_task(operator(), monkeypatch).state == "success"
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "import records" in line]
        assert message in line
        assert level in line.lower()

    def test_if_imports_cannot_be_listed_the_task_warns_without_retrying_the_call(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        aws_default.inject("ServerInternalErrorException", operation="DescribeImportTasks")
        run = run_task(operator(), monkeypatch)
        assert (run.state, len(run.result)) == ("success", 1)
        assert "that the account uses could not be determined: Try again later" in capsys.readouterr().out
        assert aws_default.calls()["DescribeImportTasks"] == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"source_url": "https://inventory.example/cmdb.csv"}, r"^source_url must have the form s3://bucket/key"),
            ({"destination_url": "inventory/prepared"}, r"^destination_url must have the form s3://bucket/prefix"),
            ({"column_mapping": "{'Server Name': 'HostName'}"}, r"^column_mapping must be a dict.*as_native_obj=True"),
        ],
    )
    def test_an_invalid_templated_parameter_is_refused_before_any_call(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], message: str
    ) -> None:
        run = run_task(operator(**arguments), monkeypatch)
        with pytest.raises(ValueError, match=message):
            raise run.error or AssertionError("not refused")
        assert not aws_default.iam_actions()

    @pytest.mark.parametrize("arguments", [{"max_file_bytes": IMPORT_FILE_MAX_BYTES + 1}, {"on_invalid_rows": "skip"}])
    def test_an_invalid_parameter_that_is_not_templated_is_refused_in_the_dag(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(arguments))):
            operator(**arguments)

    def test_invalid_rows_fail_the_task_without_a_retry(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.upload(SOURCE, EXPORT + INVALID_ROWS)
        run = run_task(operator(), monkeypatch)
        assert isinstance(run.error, AirflowFailException)
        assert str(run.error).startswith("2 of 102 rows cannot be imported.")
        assert str(run.error).endswith(f"\nThe source is {SOURCE}.")
        assert "line 102: 'Memory' (RAM.TotalSizeInMB): 'much' is not a number" in str(run.error)
        assert objects() == {}

    def test_the_source_is_never_overwritten(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        source_url = aws_default.upload("s3://inventory/part-0001.csv", EXPORT)
        run = run_task(operator(source_url=source_url, destination_url="s3://inventory"), monkeypatch)
        assert isinstance(run.error, AirflowFailException)
        assert "Choose another destination_url" in str(run.error)
        assert objects(prefix="") == {"part-0001.csv": EXPORT.encode()}

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            ({"source_url": "s3://inventory/no.csv"}, "NoSuchKey", "GetObject for s3://inventory/no.csv in us-west-2"),
            ({"source_url": "s3://no/cmdb.csv"}, "NoSuchBucket", "GetObject for s3://no/cmdb.csv in us-west-2"),
            ({"destination_url": "s3://no"}, "NoSuchBucket", "PutObject for s3://no/part-0001.csv in us-west-2"),
        ],
    )
    def test_an_error_of_s3_can_be_retried(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        arguments: dict[str, Any],
        code: str,
        message: str,
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        run = run_task(operator(**arguments), monkeypatch)
        assert isinstance(run.error, AdsCallError)
        assert (run.error.code, run.state) == (code, "up_for_retry")
        assert message in str(run.error)
