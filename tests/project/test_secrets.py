"""Tokens, presigned URLs and credentials appear nowhere, at any log level."""

from __future__ import annotations

import json
import logging
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_provider_ads import hooks
from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.log_redaction import REDACTED_LOGGERS
from airflow_provider_ads.operators import (
    AdsDeleteImportDataOperator,
    AdsExportToS3Operator,
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import SERDE, Run, at_the_second_poll, run_task

TOKEN = "secret-token"

ROLE = "arn:aws:iam::123456789012:role/importer"


class IssuingEmulator(AdsEmulator):
    """
    The emulator with one access key and one role.

    :ivar issued: the secrets of the role's credentials, as far as they were issued.
    """

    def __init__(self) -> None:
        super().__init__(
            import_seconds=0.01, export_seconds=0.3, access_keys={"AKIA-OF-A-TEST": "secret-of-the-key"}, roles=[ROLE]
        )
        self.issued: set[str] = set()

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = b"".join(super().answer(environ, start_response))
        self.issued |= {found.decode() for found in re.findall(rb"<(?:SecretAccessKey|SessionToken)>([^<]+)", body)}
        return [body]


@pytest.fixture
def log_of_everything() -> Iterator[list[str]]:
    """The messages of all loggers at every level, except those of the emulator, which replaces AWS."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(f"{record.name}: {self.format(record)}")

    loggers = [logging.getLogger(name) for name in [*logging.Logger.manager.loggerDict]]
    before = [(logger, logger.level, logger.propagate) for logger in (logging.root, *loggers)]
    for logger in loggers:
        is_of_emulator = re.match(r"moto|werkzeug|flask|airflow_provider_ads\.emulator", logger.name)
        logger.setLevel(logging.WARNING if is_of_emulator else logging.NOTSET)
        logger.propagate = True
    logging.root.setLevel(1)
    collector = Collector()
    logging.root.addHandler(collector)
    yield messages
    logging.root.removeHandler(collector)
    for logger, level, propagate in before:
        logger.setLevel(level)
        logger.propagate = propagate


@pytest.mark.parametrize("role", [None, ROLE], ids=["keys", "role"])
def test_no_logger_shows_a_secret_at_any_level(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], log_of_everything: list[str], role: str | None
) -> None:
    with IssuingEmulator() as ads:
        connection = json.loads(ads.airflow_connection)
        connection["extra"] |= {"role_arn": role} if role else {"aws_session_token": "token-of-the-session"}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        ads.upload("s3://inventory/source.csv", "ExternalId,HostName,OS.Name\n1,a.example,Linux\n,,Linux\n")
        # The scanner finds what is there: without the filter, the log shows secrets of every kind.
        for name in REDACTED_LOGGERS:
            logging.getLogger(name).filters.clear()
        with monkeypatch.context() as without_filter:
            without_filter.setattr(hooks, "redact_logs", lambda: None)
            run_every_path(ads, monkeypatch)
        assert secrets_in("".join(log_of_everything), ads) == {"tokens", "archives", "credentials"}

        log_of_everything.clear()
        capfd.readouterr()
        shown = [*run_every_path(ads, monkeypatch), *capfd.readouterr(), *log_of_everything]
        assert all(sum(text.startswith(f"{name}: ") for text in shown) > 1 for name in REDACTED_LOGGERS[:3])
        assert secrets_in("".join(shown), ads) == set()


def run_every_path(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """
    Prepare, import and export on the worker and in the triggerer, fetch a failed record, and delete the imports.

    :return: everything that users see, as text.
    """
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="s3://inventory/source.csv",
        destination_url="s3://inventory/parts",
        on_invalid_rows="quarantine",
    )
    runs = [run_task(prepare, monkeypatch)]
    starts = [
        AdsStartImportTaskOperator(
            task_id=f"start-{deferrable}",
            name="cmdb",
            import_url="s3://inventory/source.csv",
            wait_for_completion=True,
            deferrable=deferrable,
            poll_interval=0.02,
            max_failed_records=None,
        )
        for deferrable in (False, True)
    ]
    runs += [run_task(start, monkeypatch) for start in starts]
    fetch = AdsFailedRecordsToS3Operator(
        task_id="fetch", import_task_id=runs[-1].xcoms["import_task"]["importTaskId"], destination_url="s3://failed/x"
    )
    ads.upload("s3://failed/bucket", b"")
    runs.append(run_task(fetch, monkeypatch))
    exports = [
        AdsExportToS3Operator(
            task_id=f"export-{deferrable}",
            destination_url="s3://inventory/exports",
            ec2_recommendations={},
            deferrable=deferrable,
            poll_interval=0.02,
        )
        for deferrable in (False, True)
    ]
    runs += [run_task(export, monkeypatch) for export in exports]
    new = runs[2].result
    for deletion in (
        AdsPruneImportTasksOperator(
            task_id="prune", name_prefix="cmdb", superseded_by=new, allow_failed_records=True, poll_interval=0.02
        ),
        AdsDeleteImportDataOperator(task_id="delete", import_task_id=new, delete_history=True, poll_interval=0.02),
    ):
        runs.append(run_task(deletion, monkeypatch))
        assert runs[-1].xcoms["deletion"]["import_tasks"]
    assert [run.state for run in runs] == ["success"] * len(runs), [run.error for run in runs]
    assert (len(runs[2].events), len(runs[5].events)) == (1, 1)
    return [
        str([run.result, run.pushes, run.links, run.deferrals, run.events, rendered_fields(run.task)]) for run in runs
    ]


def rendered_fields(task: Any) -> dict[str, Any]:
    """Return the values that Airflow's page of rendered templates shows."""
    return {name: getattr(task, name) for name in task.template_fields}


def secrets_in(text: str, ads: IssuingEmulator) -> set[str]:
    """Return the kinds of secrets that a text contains."""
    secrets = {
        "tokens": {task["clientRequestToken"] for task in ads.import_tasks()},
        "archives": {"X-Amz-Signature="},
        "credentials": {"secret-of-the-key", "token-of-the-session", *ads.issued},
    }
    return {kind for kind, values in secrets.items() if any(value in text for value in values)}


@pytest.mark.parametrize(
    ("token", "as_list"),
    [(TOKEN, False), (None, False), (None, True)],
    ids=["own token", "derived token", "derived token of a list"],
)
@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_an_operator_that_waits_shows_no_secret(
    aws_default: AdsEmulator,
    half_bad_inventory: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    deferrable: bool,
    token: str | None,
    as_list: bool,
) -> None:
    operator = AdsStartImportTaskOperator(
        task_id="start",
        name="cmdb",
        import_url=[half_bad_inventory] if as_list else half_bad_inventory,
        client_request_token=token,
        wait_for_completion=True,
        deferrable=deferrable,
        poll_interval=0.02,
    )
    assert_failed_without_showing_a_secret(run_task(operator, monkeypatch), capfd)


@pytest.mark.parametrize(
    "mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "deferrable"]
)
def test_a_sensor_shows_no_secret(
    aws_default: AdsEmulator,
    half_bad_inventory: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    mode: dict[str, Any],
) -> None:
    aws_default.import_seconds = 60
    import_task = AdsHook().start_import_task("cmdb", half_bad_inventory, TOKEN)
    sensor = AdsImportTaskSensor(task_id="wait", import_task_id=import_task.import_task_id, poke_interval=0.05, **mode)
    with at_the_second_poll(aws_default, lambda: setattr(aws_default, "import_seconds", 0.01)):
        run = run_task(sensor, monkeypatch)
    assert len(run.deferrals) == int("deferrable" in mode)
    assert_failed_without_showing_a_secret(run, capfd)


@pytest.mark.parametrize("gone", [False, True])
def test_fetching_failed_records_shows_no_secret(
    aws_default: AdsEmulator,
    half_bad_inventory: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    gone: bool,
) -> None:
    import_task_id = AdsHook().start_import_task("cmdb", half_bad_inventory, TOKEN).import_task_id
    while (import_task := AdsHook().get_import_task(import_task_id)).status == "IMPORT_IN_PROGRESS":
        pass
    if gone:
        archive = str(import_task.errors_and_failed_entries_zip).partition("?")[0]
        bucket_name, key = archive.removeprefix(f"{aws_default.endpoint_url}/").split("/", 1)
        S3Hook().delete_objects(bucket_name, key)
    fetch = AdsFailedRecordsToS3Operator(
        task_id="fetch", import_task_id=import_task_id, destination_url="s3://inventory/failed"
    )
    # The emulator, which replaces AWS, may log secrets.
    ours = [f"airflow_provider_ads.{name}" for name in ("discovery", "hooks", "operators")]
    for name in ("urllib3", "http.client", "s3transfer", *ours):
        caplog.set_level(logging.DEBUG, logger=name)
    run = run_task(fetch, monkeypatch)
    assert run.state == ("failed" if gone else "success")
    assert_not_shown(import_task, run, caplog.text + "".join(capfd.readouterr()))


@pytest.mark.parametrize("problem", ["none", "gone", "damaged", "expired"])
@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_exporting_shows_no_secret(
    aws_default: AdsEmulator,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    deferrable: bool,
    problem: str,
) -> None:
    aws_default.upload("s3://inventory/other", "")
    aws_default.export_seconds = 0.01
    other = AdsHook().start_export_task()
    while not (url := AdsHook().get_export_task(other).configurations_download_url):
        pass
    aws_default.export_seconds = 1
    assert "X-Amz-Signature=" in url
    bucket_name = url.removeprefix(f"{aws_default.endpoint_url}/").partition("/")[0]
    original = AdsHook.get_export_tasks

    def describe(hook: AdsHook, export_ids: Any) -> list[ExportTask]:
        """Let the archive of a successful export have the problem before the task downloads it."""
        tasks = original(hook, export_ids)
        if all(task.configurations_download_url for task in tasks):
            archive = str(tasks[0].configurations_download_url).partition("?")[0]
            archive_key = archive.removeprefix(f"{aws_default.endpoint_url}/{bucket_name}/")
            if problem == "gone":
                S3Hook().delete_objects(bucket_name, archive_key)
            if problem == "damaged":
                S3Hook().load_bytes(b"PK damaged", archive_key, bucket_name, replace=True)
        return tasks

    monkeypatch.setattr(AdsHook, "get_export_tasks", describe)
    if problem == "expired":
        monkeypatch.setattr(aws_default._storage, "_link_seconds", -1)
    export = AdsExportToS3Operator(
        task_id="export", destination_url="s3://inventory/exports", deferrable=deferrable, poll_interval=0.02
    )
    ours = [f"airflow_provider_ads.{name}" for name in ("discovery", "hooks", "operators")]
    for name in ("urllib3", "http.client", "s3transfer", *ours):
        caplog.set_level(logging.DEBUG, logger=name)
    run = run_task(export, monkeypatch)
    assert run.state == ("success" if problem == "none" else "failed"), run.error
    assert len(run.deferrals) == int(deferrable)
    printed = caplog.text + "".join(capfd.readouterr())
    assert "EXPORT: IN_PROGRESS" in printed, "The log was not captured"
    assert_no_presigned_url([printed, *shown_by(run)])


@pytest.mark.parametrize("store", [import_module(SERDE or "airflow.serialization.serde").serialize, pickle.dumps])
def test_a_record_cannot_be_stored_as_an_xcom(store: Callable[[Any], Any]) -> None:
    record = ImportTask(import_task_id="import-task-1", client_request_token=TOKEN)
    with pytest.raises(TypeError, match=r"Return the summary\(\) of import task import-task-1"):
        store([record])
    store([record.summary()])
    export = ExportTask(export_id="export-1", configurations_download_url="https://bucket/?X-Amz-Signature=x")
    with pytest.raises(TypeError, match=r"Return the summary\(\) of export task export-1"):
        store([export])
    store([export.summary()])


def assert_failed_without_showing_a_secret(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    printed = "".join(capfd.readouterr())
    assert run.state == "failed"
    assert "credentials retrieved" in printed, "The log was not captured"
    assert "IMPORT_COMPLETE_WITH_ERRORS" in str(run.error)
    (summary,) = [run.xcoms["import_task"]] if isinstance(run.xcoms["import_task"], dict) else run.xcoms["import_task"]
    import_task = AdsHook().get_import_task(summary["importTaskId"])
    assert "X-Amz-Signature=" in str(import_task.errors_and_failed_entries_zip), "The import has no secret"
    assert_not_shown(import_task, run, printed)


def assert_not_shown(import_task: ImportTask, run: Run, printed: str) -> None:
    """Check that nothing that the user can see contains a secret of the import."""
    assert import_task.client_request_token
    shown = [printed, repr(import_task), str(import_task), *shown_by(run)]
    assert_no_presigned_url(shown)
    assert not any(import_task.client_request_token in text for text in shown)


def shown_by(run: Run) -> list[str]:
    """Return what a run stores and raises, as text."""
    shown = [str(run.result), str(run.pushes), str(run.events), str(run.deferrals)]
    error = run.error
    while error is not None:
        shown += [str(error), repr(error), str(vars(error))]
        error = error.__cause__ or error.__context__
    return shown


def assert_no_presigned_url(shown: list[str]) -> None:
    assert not any("X-Amz-Signature" in text or "X-Amz-Credential" in text for text in shown)
