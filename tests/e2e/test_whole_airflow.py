"""What only a whole Airflow shows: scheduler, triggerer and workers as processes of their own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from scripts.local_airflow import LocalAirflow
from scripts.s3 import upload

pytestmark = pytest.mark.skipif(
    not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has neither the API server nor the Dag processor of its own"
)


def test_a_deferred_wait_holds_no_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples: list[int] = []
    with AdsEmulator(import_seconds=15) as ads:
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            "IMPORT_URL": upload(
                ads, "s3://inventory/inventory.csv", "ExternalId,HostName\n1,a.example\n2,b.example\n"
            ),
        }
        with LocalAirflow(tmp_path / "airflow", Path(__file__).parent / "dags", environment) as airflow:
            run_id = airflow.trigger("two_deferrals")
            looks: Counter[str] = Counter()
            for task_instances in airflow.watch("two_deferrals", run_id, seconds=200):
                for task in task_instances:
                    if task.state == "deferred":
                        looks[task.id] += 1
                        # A worker says that it defers, and then its process ends: it gets two seconds for that.
                        if looks[task.id] > 4:
                            samples.append(len(airflow.processes_of(task)))
            assert airflow.run_state("two_deferrals", run_id) == "success"
        assert airflow.processes() == []
        calls = ads.calls()["StartImportTask"]
    with capsys.disabled():
        print(f"\nprocesses of a deferred task, sampled every 0.5 s: {samples}")
    assert len(samples) > 20
    assert set(samples) == {0}
    assert calls == 2
