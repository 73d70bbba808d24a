from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest

from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.record import TaskRecord

URL = "https://bucket.example/archive.zip?X-Amz-Signature=secret"
TIME = datetime(2026, 1, 2, 4, 4, 5, 678000, tzinfo=timezone(timedelta(hours=1)))

#: By shape of the service's model: a record with secrets and a time, and the names of its secret fields.
RECORDS: dict[str, tuple[TaskRecord, set[str]]] = {
    "ImportTask": (
        ImportTask.from_response(
            {
                "importTaskId": "id",
                "clientRequestToken": "secret",
                "errorsAndFailedEntriesZip": URL,
                "importRequestTime": TIME,
            }
        ),
        {"clientRequestToken", "errorsAndFailedEntriesZip"},
    ),
    "ExportInfo": (
        ExportTask.from_response({"exportId": "id", "configurationsDownloadUrl": URL, "exportRequestTime": TIME}),
        {"configurationsDownloadUrl"},
    ),
}

each_record = pytest.mark.parametrize("record", [record for record, _ in RECORDS.values()], ids=RECORDS)


@pytest.mark.parametrize("shape", RECORDS)
def test_the_summary_has_every_field_of_the_service_but_the_secrets(shape: str) -> None:
    model: Any = botocore.session.get_session().get_service_model("discovery")
    record, secrets = RECORDS[shape]
    assert record.summary().keys() | secrets == model.shape_for(shape).members.keys()
    assert not record.summary().keys() & secrets


@each_record
def test_the_summary_is_json_with_times_in_utc_and_can_be_read_back(record: TaskRecord) -> None:
    summary = json.loads(json.dumps(record.summary()))
    assert "2026-01-02T03:04:05.678000+00:00" in summary.values()
    assert type(record).from_response(summary).summary() == summary


@each_record
@pytest.mark.parametrize("show", [repr, str, lambda record: json.dumps(record.summary())])
def test_no_secret_is_shown(record: TaskRecord, show: Callable[[Any], str]) -> None:
    assert "secret" not in show(record)


@each_record
def test_unknown_fields_are_ignored_and_the_id_is_required(record: TaskRecord) -> None:
    assert type(record).from_response({**record.summary(), "newField": 1}).id == "id"
    with pytest.raises(KeyError):
        type(record).from_response({})


@each_record
def test_a_record_with_only_an_id_is_not_listed(record: TaskRecord) -> None:
    unlisted = type(record).from_id("id")
    assert (unlisted.id, unlisted.status, unlisted.is_listed, record.is_listed) == ("id", None, False, True)


@each_record
def test_airflow_cannot_store_a_record(record: TaskRecord) -> None:
    with pytest.raises(TypeError, match=r"Return the summary\(\) of (import|export) task id instead of the"):
        record.serialize()
    with pytest.raises(TypeError, match="in clear text"):
        pickle.dumps(record)


def test_times_are_converted_to_utc() -> None:
    record, _ = RECORDS["ExportInfo"]
    assert isinstance(record, ExportTask)
    assert record.export_request_time == TIME
    assert record.export_request_time.tzinfo is UTC
