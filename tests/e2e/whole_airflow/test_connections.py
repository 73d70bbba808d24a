"""Connection, region and role of a task reach every client that is made for it, on workers and in the triggerer."""

from __future__ import annotations

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run


def test_connection_region_and_role(finished: dict[str, Run], aws: dict[str, AdsEmulator]) -> None:
    run = finished["connection_region_and_role"]
    assert run.states() == dict.fromkeys(("check", "upload", "start", "wait"), "success")
    assert run.events("wait") == ["running", "deferred", "running", "success"]
    ads = aws["aws_role"]
    assert [task["status"] for task in ads.import_tasks()] == ["IMPORT_COMPLETE"]
    # The check twice, the upload, the start, the first look of the sensor, and the triggerer.
    assert ads.iam_actions()["sts:AssumeRole"] == 6
    assert "eu-west-1, the account's Migration Hub home region" in run.xcom("check")
