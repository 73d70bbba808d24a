"""An Airflow of many processes, on which the whole run happens before the first look at it."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.resilience.distributed.account import Account, component
from tests.resilience.distributed.imports import ACCOUNTS, CONTENTS, START, START_AND_WAIT, imports_of
from tests.resilience.distributed.run import FOR_EVER, SLOTS, TRIGGERERS, WORKERS, Run
from tests.support.airflow import LocalAirflow
from tests.support.postgresql import LocalPostgresql
from tests.support.redis import LocalRedis

HERE = Path(__file__).parent

RUN = pytest.StashKey[Run]()

#: The processes of this Airflow and their arguments.
COMPONENTS = {
    "api-server": ["api-server", "--workers", "1"],
    "dag-processor": ["dag-processor"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    **{name: ["triggerer", "--skip-serve-logs"] for name in TRIGGERERS},
    **{
        name: [
            *("celery", "worker", "--skip-serve-logs", "--concurrency", str(SLOTS)),
            *("--celery-hostname", f"{name}@%h", "--pid", f"{name}.pid"),
        ]
        for name in WORKERS
    },
}

#: What makes Airflow notice in seconds what it would notice in minutes.
IMPATIENT = {
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "2",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Run]:
    """The run, which has ended."""
    # As a Ctrl-C: what runs is stopped in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "dags").mkdir()
    shutil.copy(HERE / "dags.py", folder / "dags")
    with ExitStack() as running:
        accounts = {name: running.enter_context(Account(import_seconds=FOR_EVER)) for name in ACCOUNTS}
        for name, account in accounts.items():
            for each in imports_of(name, START) + imports_of(name, START_AND_WAIT):
                account.upload(each.import_url, CONTENTS[each.status])
        postgresql = running.enter_context(LocalPostgresql())
        broker = running.enter_context(LocalRedis())
        environment = {
            **{f"AIRFLOW_CONN_AWS_{name.upper()}": account.airflow_connection for name, account in accounts.items()},
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            # What a worker has loaded, its tasks need not load again.
            "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": json.dumps(
                {"imports": ["airflow_provider_ads.operators", "airflow_provider_ads.sensors"]}
            ),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{component.__module__}.{component.__name__}",
            # Some tasks wait in the broker while the workers are busy.
            "AIRFLOW__CORE__PARALLELISM": str(2 * SLOTS * len(WORKERS)),
            **IMPATIENT,
            "PYTHONPATH": str(HERE.parents[2]),
        }
        with LocalAirflow(folder / "airflow", folder / "dags", environment, postgresql.url, COMPONENTS) as airflow:
            run = pytestconfig.stash[RUN] = Run(airflow, broker, accounts)
            run.happen()
            yield run
        assert airflow.processes() == []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if run := config.stash.get(RUN, None):
        for line in run.figures:
            terminalreporter.write_line(line)
