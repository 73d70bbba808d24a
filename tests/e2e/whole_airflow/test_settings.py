"""Connection, region, role and ``[operators] default_deferrable`` take effect on workers and in the triggerer."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run, Runs, end_imports_once_deferred


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> Future[Run]:
    ends = end_imports_once_deferred(aws["aws_role"], "wait", "start_and_wait")
    return runs.start("settings", while_running=ends)


@pytest.fixture
def run(started: Any) -> Run:
    run: Run = started[__name__].result()
    return run


def test_every_client_uses_the_region_and_the_role(run: Run, aws: dict[str, AdsEmulator]) -> None:
    # The emulator refuses imports outside eu-west-1, its home region.
    assert run.states() == dict.fromkeys(("start", "wait", "start_and_wait"), "success")
    assert [task["status"] for task in aws["aws_role"].import_tasks()] == 2 * ["IMPORT_COMPLETE"]
    # Each of the three tasks assumes the role on its worker. In the triggerer, waits at the same time share a client.
    assert aws["aws_role"].iam_actions()["sts:AssumeRole"] in {4, 5}


def test_tasks_that_wait_defer_by_default(run: Run) -> None:
    assert run.events("wait") == ["running", "deferred", "running", "success"]
    assert run.events("start_and_wait") == ["running", "deferred", "running", "success"]
    assert run.events("start") == ["running", "success"]
