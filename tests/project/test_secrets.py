"""Tokens and presigned URLs appear nowhere when an import fails."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsFailedRecordsToS3Operator, AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import SERDE, Run, at_the_second_poll, run_task

TOKEN = "secret-token"


@pytest.mark.parametrize("token", [TOKEN, None], ids=["own token", "derived token"])
@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_an_operator_that_waits_shows_no_secret(
    aws_default: AdsEmulator,
    half_bad_inventory: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    deferrable: bool,
    token: str | None,
) -> None:
    operator = AdsStartImportTaskOperator(
        task_id="start",
        name="cmdb",
        import_url=half_bad_inventory,
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


@pytest.mark.parametrize("store", [import_module(SERDE or "airflow.serialization.serde").serialize, pickle.dumps])
def test_a_record_cannot_be_stored_as_an_xcom(store: Callable[[Any], Any]) -> None:
    record = ImportTask(import_task_id="import-task-1", client_request_token=TOKEN)
    with pytest.raises(TypeError, match=r"Return the summary\(\) of import task import-task-1"):
        store([record])
    store([record.summary()])


def assert_failed_without_showing_a_secret(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    printed = "".join(capfd.readouterr())
    assert run.state == "failed"
    assert "IMPORT_COMPLETE_WITH_ERRORS" in printed, "The log was not captured"
    import_task = AdsHook().get_import_task(run.xcoms["import_task"]["importTaskId"])
    assert "X-Amz-Signature=" in str(import_task.errors_and_failed_entries_zip), "The import has no secret"
    assert_not_shown(import_task, run, printed)


def assert_not_shown(import_task: ImportTask, run: Run, printed: str) -> None:
    """Check that nothing that the user can see contains a secret of the import."""
    assert import_task.client_request_token
    shown = [printed, repr(import_task), str(import_task), str(run.result), str(run.xcoms), str(run.events)]
    error = run.error
    while error is not None:
        shown += [str(error), repr(error), str(vars(error))]
        error = error.__cause__ or error.__context__
    for text in shown:
        assert "X-Amz-Signature" not in text
        assert import_task.client_request_token not in text
