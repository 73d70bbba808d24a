"""
A user's Dag file with every public class, for ``make lint`` to check its types.

Each ``type: ignore`` marks a mistake that mypy must report.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

from airflow.sdk import DAG, task

from airflow_provider_ads import __version__
from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import (
    AdsCallError,
    AdsError,
    DeletionWaitTimeout,
    ExportFailedError,
    ExportTaskNotFound,
    ExportWaitTimeout,
    ImportDeletionError,
    ImportNotSeen,
    ImportOutcomeError,
    ImportTaskNotFound,
    ImportWaitTimeout,
)
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.links import MigrationHubLink
from airflow_provider_ads.operators import (
    AdsDeleteImportDataOperator,
    AdsExportToS3Operator,
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor
from airflow_provider_ads.triggers import (
    AdsDeleteImportDataTrigger,
    AdsExportTrigger,
    AdsImportTaskTrigger,
    AdsNamedImportTaskTrigger,
    AdsWaitTrigger,
)


@task
def source_url() -> str:
    return "s3://exports/cmdb.csv"


with DAG(dag_id="typed_dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="s3://exports/cmdb.csv",
        destination_url="s3://migration-inventory/{{ run_id }}",
        column_mapping={"Server Name": "HostName", "Comment": None},
        on_invalid_rows="quarantine",
    )
    start = AdsStartImportTaskOperator.partial(task_id="start", name="cmdb", retries=2).expand(
        import_url=prepare.output
    )
    wait = AdsImportTaskSensor(
        task_id="wait",
        import_task_id=start.output,
        max_failed_records=None,
        deferrable=True,
        poke_interval=timedelta(seconds=15),
        timeout=timedelta(hours=6),
    )
    fetch = AdsFailedRecordsToS3Operator(
        task_id="fetch", import_task_id=start.output, destination_url="s3://migration-inventory/failed"
    )
    prune = AdsPruneImportTasksOperator(task_id="prune", name_prefix="cmdb", superseded_by=start.output, dry_run=True)
    delete = AdsDeleteImportDataOperator(task_id="delete", import_task_id=["import-task-1"], delete_history=True)
    single = AdsStartImportTaskOperator(task_id="single", name="cmdb", import_url=source_url(), verify=Path("/ca.pem"))
    batch = AdsStartImportTaskOperator(task_id="batch", name="cmdb", import_url=prepare.output)
    AdsStartImportTaskOperator(
        task_id="limit", name="cmdb", import_url="s3://b/1.csv", max_failed_records="{{ params.max_failed_records }}"
    )
    AdsStartImportTaskOperator(task_id="list", name="cmdb", import_url=["s3://b/1.csv", source_url(), ["s3://b/2.csv"]])
    AdsStartImportTaskOperator(task_id="tuple", name="cmdb", import_url=("s3://b/1.csv", "{{ params.url }}"))
    AdsStartImportTaskOperator.partial(task_id="batches", name="cmdb-{{ ti.map_index }}").expand(
        import_url=[["s3://b/1.csv"], ["s3://b/2.csv"]]
    )
    AdsImportTaskSensor(task_id="wait_for_batch", import_task_id=batch.output)
    AdsImportTaskSensor(task_id="both", import_task_id=[single.output, wait.output])
    AdsDeleteImportDataOperator(task_id="delete_both", import_task_id=[single.output, "{{ params.id }}"])
    AdsPruneImportTasksOperator(task_id="prune_both", name_prefix=source_url(), superseded_by=[single.output])
    AdsPrepareImportFileOperator(task_id="prepare_output", source_url=source_url(), destination_url=source_url())
    AdsFailedRecordsToS3Operator(task_id="fetch_both", import_task_id=[single.output], destination_url=source_url())
    AdsImportTaskSensor(task_id="named", name=source_url())
    AdsExportToS3Operator(
        task_id="export", destination_url=source_url(), ec2_recommendations={"preferredRegion": "us-west-2"}
    )
    AdsExportToS3Operator(task_id="export_output", destination_url="s3://b/p", ec2_recommendations=batch.output)
    prepare >> start >> wait >> fetch >> prune >> delete

    AdsStartImportTaskOperator(task_id="no_number", name="x", import_url="s3://b/k", max_failed_records=1.5)  # type: ignore[arg-type]
    AdsStartImportTaskOperator(task_id="no_url", name="x")  # type: ignore[call-arg]
    AdsStartImportTaskOperator(task_id="no_urls", name="x", import_url=[1])  # type: ignore[list-item]
    AdsImportTaskSensor(task_id="no_id", import_task_id=1)  # type: ignore[arg-type]
    AdsPrepareImportFileOperator(
        task_id="unknown_choice",
        source_url="s3://b/k",
        destination_url="s3://b/p",
        on_invalid_rows="ignore",  # type: ignore[arg-type]
    )
    AdsExportToS3Operator(task_id="no_preferences", destination_url="s3://b/p", ec2_recommendations=True)  # type: ignore[arg-type]
    AdsPruneImportTasksOperator(task_id="no_ids", name_prefix="cmdb", superseded_by=7)  # type: ignore[arg-type]

    @task
    def report(import_task_id: str) -> dict[str, Any]:
        hook = AdsHook(aws_conn_id="aws_default", region_name="us-west-2")
        assert_type(hook.test_connection(), tuple[bool, str])
        assert_type(hook.start_import_task("cmdb", "s3://migration-inventory/servers.csv"), ImportTask)
        assert_type(hook.list_import_tasks(name_prefix="cmdb"), Iterator[ImportTask])
        assert_type(hook.list_import_tasks(name=["cmdb-1", "cmdb-2"]), Iterator[ImportTask])
        assert_type(hook.start_export_task({"preferredRegion": "us-west-2"}), str)
        assert_type(hook.get_export_task("export-1"), ExportTask)
        import_task = hook.get_import_task(import_task_id)
        assert_type(import_task.status, str | None)
        assert_type(import_task.import_request_time, datetime | None)
        assert_type(import_task.server_import_failure, int | None)
        hook.get_import_task(7)  # type: ignore[arg-type]
        hook.start_import_task("cmdb")  # type: ignore[call-arg]
        print(import_task.state)  # type: ignore[attr-defined]
        import_task.status = "IMPORT_COMPLETE"  # type: ignore[misc]
        return import_task.summary()


def read_errors(hook: AdsHook, import_task_ids: list[str]) -> None:
    try:
        hook.delete_import_data(import_task_ids)
    except ImportDeletionError as error:
        assert_type(error.errors, dict[str, str])
    except ImportOutcomeError as error:
        assert_type(error.import_tasks, list[dict[str, Any]])
        assert_type(error.try_again, bool)
    except ExportFailedError as error:
        assert_type(error.export_task, dict[str, Any])
    except (DeletionWaitTimeout, ExportWaitTimeout, ImportNotSeen, ImportWaitTimeout) as error:
        assert_type(error.last_error, str | None)
    except ExportTaskNotFound as error:
        assert_type(error.export_id, str)
    except ImportTaskNotFound as error:
        assert_type(error.import_task_id, str | None)
    except AdsCallError as error:
        assert_type(error.code, str)
        assert_type(error.transient, bool)
    except AdsError as error:
        print(error.code)  # type: ignore[attr-defined]


def read_event(event: object) -> list[ImportTask]:
    return AdsImportTaskTrigger.read_event(event)


def read_export_event(trigger: AdsWaitTrigger[ExportTask], event: object) -> list[ExportTask]:
    return trigger.read_event(event)


assert_type(__version__, str)
assert_type(MigrationHubLink.key, str)

AdsImportTaskTrigger(["import-task-1"], poll_interval=60.0, deadline=None)
AdsDeleteImportDataTrigger(["import-task-1"], poll_interval=60.0, verify="/etc/ssl/certs")
AdsNamedImportTaskTrigger("cmdb", [], poll_interval=60.0)
AdsExportTrigger("export-1", poll_interval=60.0)
AdsImportTaskTrigger(["import-task-1"])  # type: ignore[call-arg]

with AdsEmulator(import_seconds=0.1, home_region=None) as ads:
    assert_type(ads.upload("s3://migration-inventory/servers.csv", "ExternalId\n1\n"), str)
    assert_type(ads.import_tasks(), list[dict[str, Any]])
    AdsEmulator(import_second=1)  # type: ignore[call-arg]
