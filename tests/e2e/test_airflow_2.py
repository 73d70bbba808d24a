"""One intention starts one import on Airflow 2 too, whose database counts tries and clears in its own way."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.conftest import RunInAirflow

LIVES = {
    "retry": (["try", "fail", "try"], 1),
    "clear while deferred": (["try", "clear", "try"], 2),
    "clear while running": (["try", "run", "clear", "fail", "try"], 1),
    "clear after failure": (["try", "fail", "try", "fail", "clear", "try"], 2),
}


@pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="the same on Airflow 3 is in whole_airflow/test_retries.py")
@pytest.mark.parametrize(("steps", "imports"), LIVES.values(), ids=LIVES)
def test_an_intention_starts_one_import_until_it_is_cleared(
    ads: AdsEmulator, run_in_airflow: RunInAirflow, steps: list[str], imports: int
) -> None:
    ads.import_seconds = 3600
    url = ads.upload("s3://inventory/inventory.csv", "ExternalId\n1\n")
    run = run_in_airflow(Path(__file__).with_name("lives_airflow_2.py"), IMPORT_URL=url, STEPS=" ".join(steps))
    assert run.returncode == 0, run.stdout
    assert "deferred" in run.stdout
    assert len(ads.import_tasks()) == imports
