from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsPrepareImportFileOperator
from airflow_provider_ads.version_compat import AirflowFailException
from tests.support.task_runs import Run, context_of, run_task
from tests.unit.discovery.test_rvtools import CSV_FILES, pack

SOURCE = "s3://inventory/cmdb.csv"
FOLDER = "s3://inventory/prepared/run/"
EXPORT = "Server Name,Memory,Rack\r\n" + "".join(f"web{number},1024,R1\r\n" for number in range(100))
BAD_ROWS = "web100,much,R1\r\n,1024,R1\r\n"
MAPPING = {"Server Name": "HostName", "Memory": "RAM.TotalSizeInMB"}


def operator(**arguments: Any) -> AdsPrepareImportFileOperator:
    defaults = {"source_url": SOURCE, "destination_url": FOLDER, "column_mapping": MAPPING}
    return AdsPrepareImportFileOperator(task_id="prepare", retries=2, **{**defaults, **arguments})


def objects(bucket_name: str = "inventory", prefix: str = "prepared/") -> dict[str, bytes]:
    """What is in S3, by the rest of its key."""
    hook = S3Hook()
    keys = hook.list_keys(bucket_name, prefix) or []
    return {key.removeprefix(prefix): hook.get_key(key, bucket_name).get()["Body"].read() for key in keys}


@pytest.fixture
def prepared(aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Run:
    """An export of 102 rows, two of which cannot be imported, prepared in three parts."""
    aws_default.upload(SOURCE, EXPORT + BAD_ROWS)
    return run_task(operator(max_file_bytes=600, on_invalid_rows="quarantine"), monkeypatch)


class TestPrepare:
    def test_returns_the_urls_to_import_in_order(self, prepared: Run) -> None:
        assert prepared.state == "success"
        assert prepared.result == [f"{FOLDER}part-000{number}.csv" for number in (1, 2, 3)]

    def test_parts_hold_the_good_rows_with_the_columns_of_the_template(self, prepared: Run) -> None:
        header = "HostName,RAM.TotalSizeInMB\r\n"
        parts = [content.decode() for name, content in sorted(objects().items()) if "part-" in name]
        assert all(part.startswith(header) and len(part) <= 600 for part in parts)
        rows = "".join(part.removeprefix(header) for part in parts)
        assert rows == "".join(f"web{number},1024\r\n" for number in range(100))

    def test_quarantine_holds_the_bad_rows_as_they_were_read_and_why(self, prepared: Run) -> None:
        assert objects()["run/quarantine.csv"].decode().splitlines() == [
            "Line,Reason,Server Name,Memory,Rack",
            "102,'Memory' (RAM.TotalSizeInMB): 'much' is not a number of 0 or more.,web100,much,R1",
            '103,"The row needs one of ExternalId, IPAddress, MACAddress, HostName, or VMware.MoRefId with '
            'VMware.VCenterId.",,1024,R1',
        ]

    def test_report_tells_what_became_of_rows_and_columns(self, prepared: Run) -> None:
        report = prepared.xcoms["report"]
        sizes = {f"s3://inventory/prepared/{name}": len(content) for name, content in objects().items()}
        assert [(part["url"], part["size_bytes"]) for part in report["parts"]] == [
            (url, sizes[url]) for url in prepared.result
        ]
        assert sum(part["rows"] for part in report.pop("parts")) == 100
        assert report == {
            "file_classification": "IMPORT_TEMPLATE",
            "rows_read": 102,
            "rows_written": 100,
            "rows_quarantined": 2,
            "quarantine_url": f"{FOLDER}quarantine.csv",
            "columns_mapped": MAPPING,
            "columns_ignored": [],
            "columns_unknown": ["Rack"],
        }

    def test_log_shows_it_as_a_table(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        run_task(operator(max_file_bytes=600), monkeypatch)
        printed = capsys.readouterr().out
        assert f"Prepared {SOURCE} in {FOLDER}:" in printed
        assert "part-0003.csv" in printed
        assert "'Rack' is left out: it is no column of the template" in printed

    def test_without_xcom_nothing_is_pushed(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        aws_default.upload(SOURCE, EXPORT)
        assert run_task(operator(do_xcom_push=False), monkeypatch).xcoms == {}

    def test_every_part_can_be_imported(self, prepared: Run) -> None:
        hook = AdsHook()
        ids = [hook.start_import_task("cmdb", url).import_task_id for url in prepared.result]
        while any(task.status == "IMPORT_IN_PROGRESS" for task in hook.get_import_tasks(ids)):
            pass
        tasks = hook.get_import_tasks(ids)
        assert {task.status for task in tasks} == {"IMPORT_COMPLETE"}
        assert sum(task.server_import_success or 0 for task in tasks) == 100

    def test_tried_again_writes_the_same(
        self, prepared: Run, monkeypatch: pytest.MonkeyPatch, aws_default: AdsEmulator
    ) -> None:
        before = objects()
        task = operator(max_file_bytes=600, on_invalid_rows="quarantine")
        again = run_task(task, monkeypatch, try_number=2)
        assert (again.result, again.xcoms, objects()) == (prepared.result, prepared.xcoms, before)

    @pytest.mark.parametrize("destination_url", ["s3://other", "s3://other/", "s3://other/a/b", "s3://other/a/b/"])
    def test_writes_below_the_destination(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, destination_url: str
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        aws_default.upload("s3://other/exists", "")
        (url,) = run_task(operator(destination_url=destination_url), monkeypatch).result
        assert url == f"{destination_url.rstrip('/')}/part-0001.csv"
        assert S3Hook().check_for_key(url)

    def test_a_part_of_the_largest_size_goes_up_with_one_request(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.upload(SOURCE, "HostName,OS.Name\r\n" + 100 * f"web,{'x' * 99_000}\r\n")
        run = run_task(operator(column_mapping=None), monkeypatch)
        assert run.xcoms["report"]["parts"][0]["size_bytes"] > 9_000_000
        assert aws_default.iam_actions()["s3:PutObject"] == len(run.result)

    def test_mapped_task_instances_have_folders_of_their_own(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for map_index in range(2):
            aws_default.upload(SOURCE, f"Server Name,Memory\r\nweb{map_index},1024\r\n")
            run = run_task(operator(), monkeypatch, map_index=map_index)
            assert run.result == [f"{FOLDER}{map_index}/part-0001.csv"]
        assert b"web0" in objects()["run/0/part-0001.csv"]

    def test_an_export_of_rvtools_is_passed_on(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        aws_default.upload(SOURCE, pack(CSV_FILES))
        run = run_task(operator(column_mapping=None), monkeypatch)
        assert run.result == [f"{FOLDER}part-0001.zip"]
        assert objects()["run/part-0001.zip"] == objects(prefix="cmdb.csv")[""]
        assert run.xcoms["report"]["parts"][0]["rows"] is None


class TestQuota:
    def test_log_tells_what_the_rows_will_use(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        aws_default.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=12_500)
        run_task(operator(), monkeypatch)
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "import records" in line]
        assert "the imports that are listed hold 12,500 (50.0%). The file's 100 rows will use 0.4%" in line
        assert "warning" not in line.lower()

    def test_too_little_room_is_a_warning(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        aws_default.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=24_901)
        assert run_task(operator(), monkeypatch).state == "success"
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "import records" in line]
        assert "There is no room for both" in line
        assert "warning" in line.lower()

    def test_who_may_not_list_imports_may_prepare_files(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        aws_default.inject("AuthorizationErrorException", operation="DescribeImportTasks")
        run = run_task(operator(), monkeypatch)
        assert (run.state, len(run.result)) == ("success", 1)
        assert "import records is used up cannot be told: DescribeImportTasks" in capsys.readouterr().out

    def test_nobody_waits_long_for_it(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws_default.upload(SOURCE, EXPORT)
        aws_default.inject("ServerInternalErrorException", operation="DescribeImportTasks")
        assert run_task(operator(), monkeypatch).state == "success"
        assert aws_default.calls()["DescribeImportTasks"] == 1


class TestRefusal:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"source_url": "inventory/cmdb.csv"}, r"^source_url must be of the form s3://bucket/key"),
            ({"source_url": "https://inventory.example/cmdb.csv"}, r"^source_url must be of the form"),
            ({"source_url": "s3://inventory"}, r"^source_url must be of the form"),
            ({"source_url": "s3://inventory/"}, r"^source_url must be of the form"),
            ({"destination_url": "inventory/prepared"}, r"^destination_url must be of the form s3://bucket/prefix"),
            ({"destination_url": "s3:///prepared"}, r"^destination_url must be of the form"),
            ({"destination_url": "s3://my inventory/prepared"}, r"^destination_url must be of the form"),
            ({"destination_url": "s3://inventory/" + 901 * "x"}, r"^destination_url must have a prefix of at most 900"),
            ({"source_url": None}, r"^source_url must be of the form s3://bucket/key; got None"),
            ({"destination_url": ["s3://inventory"]}, r"^destination_url must be of the form"),
            ({"source_url": "https://inventory.example/cmdb.csv?X-Amz-Signature=0"}, r"got '[^?]+cmdb.csv'$"),
            ({"column_mapping": "{'Server Name': 'HostName'}"}, r"^column_mapping must be a dict.*as_native_obj=True"),
            ({"column_mapping": {"Server Name": "Hostname"}}, r"Did you mean 'HostName'\?"),
        ],
    )
    def test_of_a_parameter_comes_before_any_call(
        self,
        aws_default: AdsEmulator,
        monkeypatch: pytest.MonkeyPatch,
        arguments: dict[str, Any],
        message: str,
    ) -> None:
        run = run_task(operator(**arguments), monkeypatch)
        with pytest.raises(ValueError, match=message):
            raise run.error or AssertionError("not refused")
        assert not aws_default.iam_actions()

    @pytest.mark.parametrize(
        "arguments",
        [{"max_file_bytes": 0}, {"max_file_bytes": IMPORT_FILE_MAX_BYTES + 1}, {"on_invalid_rows": "ignore"}],
    )
    def test_of_a_parameter_that_is_not_templated_comes_with_the_dag(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(arguments))):
            operator(**arguments)

    def test_of_bad_rows_lists_them_and_writes_nothing(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.upload(SOURCE, EXPORT + BAD_ROWS)
        run = run_task(operator(), monkeypatch)
        assert isinstance(run.error, AirflowFailException)
        assert str(run.error).startswith(f"{SOURCE}: 2 of 102 rows cannot be imported.")
        assert "line 102: 'Memory' (RAM.TotalSizeInMB): 'much' is not a number" in str(run.error)
        assert objects() == {}

    def test_to_write_over_the_source(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        source_url = aws_default.upload("s3://inventory/part-0001.csv", EXPORT)
        run = run_task(operator(source_url=source_url, destination_url="s3://inventory"), monkeypatch)
        assert isinstance(run.error, AirflowFailException)
        assert "Choose another destination_url" in str(run.error)
        assert objects(prefix="") == {"part-0001.csv": EXPORT.encode()}

    @pytest.mark.parametrize(
        ("source_url", "code", "advice"),
        [
            (SOURCE, "NoSuchKey", "Correct the key of the file, or upload it."),
            ("s3://elsewhere/cmdb.csv", "NoSuchBucket", "Correct the name of the bucket, or create it."),
        ],
    )
    def test_when_the_source_is_missing(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, source_url: str, code: str, advice: str
    ) -> None:
        aws_default.upload("s3://inventory/other.csv", EXPORT)
        run = run_task(operator(source_url=source_url), monkeypatch)
        assert isinstance(run.error, AdsCallError)
        assert run.error.code == code
        assert str(run.error).startswith(f"GetObject for {source_url} in us-west-2 with aws_conn_id='aws_default'")
        assert str(run.error).endswith(advice)

    def test_when_the_destination_is_missing(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        aws_default.upload(SOURCE, EXPORT)
        run = run_task(operator(destination_url="s3://elsewhere"), monkeypatch)
        assert isinstance(run.error, AdsCallError)
        assert (run.error.code, run.state) == ("NoSuchBucket", "up_for_retry")


def test_worker_keeps_nothing(aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    aws_default.upload(SOURCE, EXPORT + BAD_ROWS)
    for on_invalid_rows in ("fail", "quarantine"):
        run_task(operator(on_invalid_rows=on_invalid_rows), monkeypatch)
    assert list(tmp_path.iterdir()) == []


def test_parameters_are_rendered() -> None:
    task = operator(
        source_url="s3://{{ bucket }}/cmdb.csv",
        destination_url="s3://{{ bucket }}/prepared",
        column_mapping={"Server Name": "{{ column }}", "Rack": None},
    )
    context: Any = {**context_of(task), "bucket": "inventory", "column": "HostName"}
    task.render_template_fields(context)
    assert (task.source_url, task.destination_url) == ("s3://inventory/cmdb.csv", "s3://inventory/prepared")
    assert task.column_mapping == {"Server Name": "HostName", "Rack": None}
