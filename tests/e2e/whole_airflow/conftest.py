"""One running Airflow for all tests in this folder, and an emulator for each of its AWS connections."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.connections import TABLE, DocumentedConnections
from tests.e2e.whole_airflow.runs import Runs
from tests.support.airflow import LocalAirflow
from tests.support.postgresql import LocalPostgresql

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

#: Dags read it from the Airflow variable ``client_request_token``.
CLIENT_REQUEST_TOKEN = "a-token-chosen-by-the-user"

SECRET_KEY = "wJalrXUtnFEMI-a-secret-access-key"

#: Text that must not appear in logs, XComs, events or rendered fields. The first two are parts of a presigned URL.
SECRETS = ["X-Amz-Signature", "X-Amz-Credential", CLIENT_REQUEST_TOKEN, SECRET_KEY]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="Airflow 2 has neither the API server nor a separate Dag processor")
    for item in items if not AIRFLOW_V_3_0_PLUS else []:
        if HERE in item.path.parents:
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in TABLE:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def aws() -> Iterator[dict[str, AdsEmulator]]:
    """The emulators, by the Airflow connection that points to them; they share their S3 buckets."""
    emulators = {
        "aws_default": AdsEmulator(import_seconds=1, delete_seconds=1),
        **{
            f"aws_export_{row}": AdsEmulator(export_seconds=3600 if row == "timed_out" else 8)
            for row in ("succeeded", "failed", "truncated", "denied", "timed_out")
        },
        "aws_failed_records": AdsEmulator(import_seconds=3600),
        "aws_lineage": AdsEmulator(import_seconds=1),
        "aws_many_files": AdsEmulator(),
        "aws_refused": AdsEmulator(),
        "aws_retries": AdsEmulator(import_seconds=3600),
        "aws_role": AdsEmulator(import_seconds=3600, home_region="eu-west-1"),
        "aws_servicenow": AdsEmulator(import_seconds=1, delete_seconds=1),
    }
    with ExitStack() as running:
        for emulator in emulators.values():
            running.enter_context(emulator)
        emulators["aws_default"].upload("s3://inventory/good.csv", "ExternalId,HostName\n1,a.example\n2,b.example\n")
        yield emulators


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocumentedConnections]:
    """The connections of the documentation, and the servers that they point to."""
    with DocumentedConnections(tmp_path_factory.mktemp("connections")) as connections:
        yield connections


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, aws: dict[str, AdsEmulator], documented: DocumentedConnections
) -> Iterator[LocalAirflow]:
    """A whole Airflow with the Dags of the tests and the examples, in which tasks defer by default."""
    folder = tmp_path_factory.mktemp("whole-airflow")
    (folder / "openlineage").mkdir()
    dags = folder / "dags"
    shutil.copytree(HERE.parent / "dags", dags)
    shutil.copytree(ROOT / "example_dags", dags, dirs_exist_ok=True)
    role = {"role_arn": "arn:aws:iam::123456789012:role/importer", "region_name": "us-west-2"}
    environment = {
        **{f"AIRFLOW_CONN_{name.upper()}": connection(ads) for name, ads in aws.items()},
        "AIRFLOW_CONN_AWS_ROLE": connection(aws["aws_role"], **role),
        **documented.environment,
        "AIRFLOW_VAR_CLIENT_REQUEST_TOKEN": CLIENT_REQUEST_TOKEN,
        # Dags have to enable it. Each event gets a file of its own, because several processes write events.
        "AIRFLOW__OPENLINEAGE__SELECTIVE_ENABLE": "True",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(folder / "openlineage" / "event"), "append": False}
        ),
        # Parsing unchanged files again would take more time than the tasks.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        # The triggerer, which does not import from the folder of Dags, needs the root for the trigger that crashes.
        "PYTHONPATH": f"{ROOT}:{HERE / 'settings'}",
    }
    # On SQLite, so many runs at a time would lock each other out of the database.
    with (
        LocalPostgresql() as postgresql,
        LocalAirflow(folder / "airflow", dags, environment, postgresql.url) as running,
    ):
        yield running
        # The tests do not need a clean end, which takes seconds.
        running.kill()


@pytest.fixture(scope="session")
def started(request: pytest.FixtureRequest, airflow: LocalAirflow, aws: dict[str, AdsEmulator]) -> Iterator[Any]:
    """
    Start the Dag runs of all collected test modules, so that they run side by side.

    :return: the result of each module's function ``start_runs``, by the module's name.
    """
    modules = {item.module for item in request.session.items if isinstance(item, pytest.Function)}
    with ThreadPoolExecutor(100) as threads:
        runs = Runs(airflow, threads)
        yield {
            module.__name__: module.start_runs(runs, aws)
            for module in sorted(modules, key=lambda module: module.__name__)
            if hasattr(module, "start_runs")
        }


def connection(ads: AdsEmulator, **extra: str) -> str:
    """Return an emulator's connection with a secret key, and more settings in its ``extra`` field."""
    settings = json.loads(ads.airflow_connection)
    return json.dumps({**settings, "password": SECRET_KEY, "extra": {**settings["extra"], **extra}})


def tokens(aws: dict[str, AdsEmulator]) -> list[str]:
    """Return every client request token that the emulators received, including those that the provider derived."""
    return [task["clientRequestToken"] for ads in aws.values() for task in ads.import_tasks()]
