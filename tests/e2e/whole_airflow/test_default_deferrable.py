"""Airflow's setting ``[operators] default_deferrable`` decides where a task does not, and makes no task wait."""

from __future__ import annotations

from tests.e2e.whole_airflow.runs import Run


def test_decides_for_those_who_wait(finished: dict[str, Run]) -> None:
    run = finished["default_deferrable"]
    assert run.state == "success"
    assert run.events("start") == ["running", "success"]
    assert "Not waiting for the import, because wait_for_completion is False" in run.log("start")
    assert run.events("wait") == ["running", "deferred", "running", "success"]
    assert run.events("start_and_wait") == ["running", "deferred", "running", "success"]
