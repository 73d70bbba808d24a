"""The example Dags that the demo does not run, as users copy them, and the IAM policy that they need."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.support.moto import create_topic, read_object, sent_messages

PERMISSIONS = Path(__file__).parents[3] / "docs" / "permissions.md"

HEADER = "ExternalId,HostName,RAM.TotalSizeInMB\n"
GOOD_ROWS = "1,a.example,1024\n2,b.example,2048\n3,c.example,4096\n"
BAD_ROWS = "4,d.example,much\n5,e.example,-1\n"
CORRECTED_ROWS = "4,d.example,512\n5,e.example,256\n"


@dataclass(frozen=True)
class ImportRun:
    """
    A run that imports an inventory, or corrected rows of it.

    :param run: the Dag run.
    :param before: the ids of the imports whose data existed before the run.
    :param import_task_id: the import that the run started.
    :param statuses: the status of every import after the run, by id.
    """

    run: Run
    before: list[str]
    import_task_id: str
    statuses: dict[str, str]


@dataclass(frozen=True)
class ImportRuns:
    """
    The runs of several days.

    :param good: a run without bad rows.
    :param bad: the next run, with bad rows.
    :param corrected: a run that imports only the corrected rows.
    :param last: the next run, with the corrected inventory.
    """

    good: ImportRun
    bad: ImportRun
    corrected: ImportRun
    last: ImportRun


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> dict[str, Future[Any]]:
    ads = aws["aws_default"]
    create_topic("us-west-2", "migration")
    ads.upload("s3://migration-inventory/cmdb-export.csv", "Asset Tag;Server Name\n1;a.example\n")
    return {
        "imports": runs.submit(run_imports, runs, ads),
        "check": runs.start("example_ads_check_connection"),
        "pipeline": runs.start("example_ads_inventory_pipeline"),
        "recommendations": runs.start("example_ads_ec2_recommendations", lambda: upload_servers(ads)),
    }


def upload_servers(ads: AdsEmulator) -> dict[str, Any]:
    """Upload an inventory for the recommendations, and return the configuration of the run."""
    text = "Asset Tag,Server Name,CPU Cores,Memory (MB),Operating System\n1,a.example,4,8192,Ubuntu\n"
    source_url = ads.upload("s3://migration-inventory/recommended.csv", text)
    return {"source_url": source_url, "minutes_before_export": 0.2}


def run_imports(runs: Runs, ads: AdsEmulator) -> ImportRuns:
    """Run the Dags as a user does whose inventory contains bad rows one day."""

    def scheduled(text: str) -> ImportRun:
        def upload() -> dict[str, Any]:
            ads.upload("s3://migration-inventory/servers.csv", text)
            return {}

        return run_import(runs, ads, "example_ads_failed_records", upload)

    def by_hand(text: str) -> ImportRun:
        def upload() -> dict[str, Any]:
            return {"import_url": ads.upload("s3://migration-inventory/by-hand.csv", text)}

        return run_import(runs, ads, "example_ads_corrected_rows", upload)

    return ImportRuns(
        good=scheduled(HEADER + GOOD_ROWS),
        bad=scheduled(HEADER + GOOD_ROWS + BAD_ROWS),
        corrected=by_hand(HEADER + CORRECTED_ROWS),
        last=scheduled(HEADER + GOOD_ROWS + CORRECTED_ROWS),
    )


def run_import(runs: Runs, ads: AdsEmulator, dag_id: str, upload: Callable[[], dict[str, Any]]) -> ImportRun:
    """Run a Dag that imports the file that ``upload`` uploads."""
    before: list[str] = []

    def imports() -> list[dict[str, Any]]:
        return [task for task in ads.import_tasks() if task["name"].startswith("cmdb-")]

    def conf() -> dict[str, Any]:
        # A run that is repeated has imports of the spoiled run before it.
        before[:] = [task["importTaskId"] for task in imports() if task["status"].startswith("IMPORT_COMPLETE")]
        return upload()

    run = runs.run(dag_id, conf)
    return ImportRun(
        run, before, run.xcom("start_import"), {task["importTaskId"]: task["status"] for task in imports()}
    )


@pytest.fixture
def imports(started: Any) -> ImportRuns:
    imports: ImportRuns = started[__name__]["imports"].result()
    return imports


def test_the_check_of_a_connection_reports_the_home_region(started: Any) -> None:
    run = started[__name__]["check"].result()
    assert run.state == "success"
    assert "us-west-2, the account's Migration Hub home region" in run.xcom("check_connection")


def test_a_file_that_cannot_be_prepared_starts_no_import(started: Any) -> None:
    run = started[__name__]["pipeline"].result()
    assert run.task("prepare").try_number == 1
    assert run.states() == {
        "prepare": "failed",
        "import_files": "upstream_failed",
        "fetch_failed_records": "skipped",
        "show_sum": "success",
        "delete_older_imports": "upstream_failed",
    }


def test_a_good_run_has_no_failed_records(imports: ImportRuns) -> None:
    assert imports.good.run.state == "success"
    assert imports.good.run.xcom("fetch_failed_records") == {
        "failed_records": 0,
        "errors_url": None,
        "failed_entries_url": None,
    }


def test_bad_rows_fail_the_run_are_fetched_and_keep_the_older_import(imports: ImportRuns) -> None:
    run = imports.bad.run
    assert run.states() == {
        "start_import": "success",
        "wait_for_import": "failed",
        "fetch_failed_records": "success",
        "delete_older_imports": "upstream_failed",
    }
    assert {task.try_number for task in run.task_instances if task.state != "upstream_failed"} == {1}
    assert read_object(run.xcom("fetch_failed_records")["failed_entries_url"]).decode() == HEADER + BAD_ROWS
    assert imports.bad.statuses[imports.good.import_task_id] == "IMPORT_COMPLETE"


def test_the_notification_contains_the_counts(imports: ImportRuns) -> None:
    run_id = imports.bad.run.run_id
    assert [message for message in sent_messages("us-west-2", "migration") if run_id in message] == [
        f"cmdb-{run_id}: IMPORT_COMPLETE_WITH_ERRORS, servers imported 3,\nservers failed 2, applications failed 0"
    ]


def test_corrected_rows_are_imported_and_nothing_is_deleted(imports: ImportRuns) -> None:
    corrected = imports.corrected
    assert corrected.run.state == "success"
    assert corrected.run.xcom("wait_for_import")["serverImportSuccess"] == 2
    assert corrected.run.xcom("wait_for_import")["importUrl"] == "s3://migration-inventory/by-hand.csv"
    assert "DELETE" not in "".join(corrected.statuses.values())


def test_the_next_good_run_replaces_all_older_imports(imports: ImportRuns) -> None:
    last = imports.last
    assert last.run.state == "success"
    assert last.run.xcom("wait_for_import")["serverImportSuccess"] == 5
    assert last.run.xcom("delete_older_imports") == last.before
    assert set(last.before) >= {run.import_task_id for run in (imports.good, imports.bad, imports.corrected)}
    assert last.statuses == {
        **dict.fromkeys(last.statuses, "DELETE_COMPLETE"),
        last.import_task_id: "IMPORT_COMPLETE",
    }


def test_recommendations_for_the_servers_of_a_run_are_written_to_s3(started: Any) -> None:
    run = started[__name__]["recommendations"].result()
    assert run.states() == dict.fromkeys(
        [
            *("prepare", "import_files", "fetch_failed_records"),
            *("delete_older_imports", "wait_for_aws", "export_recommendations"),
        ],
        "success",
    )
    (recommendations,) = (url for url in run.xcom("export_recommendations")["files"] if "/EC2Instance" in url)
    rows = list(csv.DictReader(read_object(recommendations).decode().splitlines()))
    tag = f"import:{run.run_id.replace(':', '')}"
    # Other Dags of the tests import servers into the same account.
    assert [row["Server.HostName"] for row in rows if row["Tags"] == tag] == ["a.example"]


def test_the_documented_iam_policy_allows_exactly_the_actions_that_the_dags_need(
    started: Any, aws: dict[str, AdsEmulator]
) -> None:
    for job in started[__name__].values():
        job.result()
    policy = re.findall(r"```json\n(\{\s+\"Version\".+?)```", PERMISSIONS.read_text(), re.DOTALL)[0]
    allowed = {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}
    # The policy has no permission for the notification, which users replace with their own. The examples assume no
    # role; test_settings.py covers that.
    needed = set(aws["aws_default"].iam_actions())
    assert allowed - {"sts:AssumeRole"} == needed - {"sns:Publish"}
