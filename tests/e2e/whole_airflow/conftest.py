"""One running Airflow for all of these tests, and emulators of AWS for its connections."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.inventories import FEW_ROWS, SOURCES
from tests.e2e.whole_airflow.nights import Correction, Night, correct, import_in_parts
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.e2e.whole_airflow.traces import database_texts, places_of
from tests.support.airflow import LocalAirflow, TaskInstance
from tests.support.moto import create_topic

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

#: Part of the client request tokens of a run.
INTENTION = "an-intention-of-the-user"

#: Beside the folder of the whole Airflow, where it puts the events of OpenLineage.
LINEAGE = "openlineage"

SECRET_KEY = "wJalrXUtnFEMI-a-secret-access-key"

#: What no log, XCom, event or rendered field may show; the first two are parts of a presigned URL.
SECRETS = ["X-Amz-Signature", "X-Amz-Credential", INTENTION, SECRET_KEY]

#: A file as spreadsheets write it: with a mark of its encoding, line breaks in cells, and none at its end.
ODD_HEADER = '\ufeffExternalId,HostName,"OS.Name",CPU.NumberOfCores,RAM.TotalSizeInMB\r\n'
ODD_GOOD_ROW = '1,a.example,"Linux, ""the"" one",2,1024\r\n'

#: Its rows that fail, the second one in two fields.
ODD_ROWS = [
    '2,b.example,"says ""hello"", twice",2,"very\r\nmuch"\r\n',
    ',,"Müller\n東京 🙂",2,-1\r\n',
    "4,ç.example, Linux ,many,1024",
]

#: What goes on in the background and is looked at last; and then what looks at the whole run.
LAST = ["test_retention.py", "test_example_dags.py", "test_outcomes.py", "test_iam_policy.py"]

RUNS = pytest.StashKey[Runs]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="Airflow 2 has neither the API server nor the Dag processor of its own")
    here = [item for item in items if HERE in item.path.parents]
    for item in here if not AIRFLOW_V_3_0_PLUS else []:
        item.add_marker(skip)
    items.sort(key=lambda item: LAST.index(item.path.name) if item in here and item.path.name in LAST else -1)


@pytest.fixture(scope="session")
def aws() -> Iterator[dict[str, AdsEmulator]]:
    """The emulators by the connection that leads to them."""
    emulators = {
        "aws_default": AdsEmulator(import_seconds=8),
        "aws_nightly": AdsEmulator(import_seconds=1, delete_seconds=3),
        "aws_prepared": AdsEmulator(import_seconds=1),
        "aws_refused": AdsEmulator(),
        "aws_role": AdsEmulator(import_seconds=3600, home_region="eu-west-1"),
        "aws_slow": AdsEmulator(import_seconds=3600),
        "aws_throttled": AdsEmulator(),
        "aws_waiting": AdsEmulator(import_seconds=3600),
    }
    with ExitStack() as running:
        for emulator in emulators.values():
            running.enter_context(emulator)
        ads = emulators["aws_default"]
        ads.upload("s3://inventory/good.csv", "ExternalId,HostName\n1,a.example\n2,b.example\n")
        ads.upload("s3://inventory/half-bad.csv", "ExternalId,HostName,OS.Name\n1,a.example,Linux\n,,Linux\n")
        ads.upload("s3://inventory/bad.csv", "ExternalId,HostName,OS.Name\n,,Linux\n")
        ads.upload("s3://inventory/odd-rows.csv", ODD_HEADER + ODD_GOOD_ROW + "".join(ODD_ROWS))
        for name, content in SOURCES.items():
            emulators["aws_prepared"].upload(f"s3://inventory/{name}", content)
        emulators["aws_prepared"].upload("s3://inventory/lineage.csv", FEW_ROWS)
        for number in range(20):
            ads.upload(f"s3://inventory/part-{number}.csv", f"ExternalId\n{number}\n")
        yield emulators


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, aws: dict[str, AdsEmulator]) -> Iterator[LocalAirflow]:
    """A whole Airflow with the Dags of the tests and the examples, deferrable by default."""
    folder = tmp_path_factory.mktemp("whole-airflow")
    (folder / LINEAGE).mkdir()
    dags = folder / "dags"
    shutil.copytree(HERE.parent / "dags", dags)
    shutil.copytree(ROOT / "example_dags", dags, dirs_exist_ok=True)
    environment = {
        **{f"AIRFLOW_CONN_{name.upper()}": ads.airflow_connection for name, ads in aws.items()},
        "AIRFLOW_CONN_AWS_DEFAULT": changed(aws["aws_default"].airflow_connection, password=SECRET_KEY),
        "AIRFLOW_CONN_AWS_ROLE": changed(
            aws["aws_role"].airflow_connection,
            extra={"role_arn": "arn:aws:iam::123456789012:role/importer", "region_name": "us-west-2"},
        ),
        "AIRFLOW_VAR_INTENTION": INTENTION,
        # Of the Dags that ask for it. A file for each event, because many processes write.
        "AIRFLOW__OPENLINEAGE__SELECTIVE_ENABLE": "True",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(folder / LINEAGE / "event"), "append": False}
        ),
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        # For the trigger that crashes: the triggerer does not import from the folder of Dags.
        "PYTHONPATH": str(ROOT),
    }
    with LocalAirflow(folder / "airflow", dags, environment) as running:
        yield running
    assert running.processes() == []


@pytest.fixture(scope="session")
def runs(airflow: LocalAirflow, pytestconfig: pytest.Config) -> Runs:
    """Runs of Dags on the whole Airflow."""
    runs = pytestconfig.stash[RUNS] = Runs(airflow)
    return runs


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if runs := config.stash.get(RUNS, None):
        terminalreporter.write_line(
            f"{runs.count} Dag runs on the whole Airflow. {runs.mismatches} of them were repeated, because Airflow "
            "took a task that came back from a deferral or a rescheduling for one that was killed."
        )


@pytest.fixture(scope="session")
def secrets_in_database() -> set[str]:
    """The secrets that Airflow's database held at any time of the run that has some."""
    return set()


@pytest.fixture(scope="session")
def finished(
    airflow: LocalAirflow,
    runs: Runs,
    aws: dict[str, AdsEmulator],
    secrets_in_database: set[str],
    request: pytest.FixtureRequest,
) -> dict[str, Run]:
    """The runs, by Dag, of Dags that can run side by side."""
    for sequence in ("nights", "correction"):
        # What takes longest begins first, if a test is to come that looks at it.
        if any(sequence in getattr(item, "fixturenames", ()) for item in request.session.items):
            request.getfixturevalue(sequence)

    def scan(run_id: str, task_instances: list[TaskInstance]) -> None:
        # All the time, because what is written for a trigger is gone when the trigger is.
        secrets_in_database.update(places_of([*SECRETS, *tokens_of(aws)], database_texts(airflow)))

    dags = ["example_ads_check_connection", "failed_records_of_no_import", "lineage", "one_wait_for_each"]
    watched = {
        "connection_region_and_role": end_once_deferred(aws["aws_role"]),
        "default_deferrable": end_once_deferred(aws["aws_waiting"]),
        "failed_records": scan,
        "outcomes": scan,
    }
    with ThreadPoolExecutor(len(dags) + len(watched) + len(SOURCES)) as pool:
        jobs = {dag: pool.submit(runs.run, dag) for dag in dags}
        jobs |= {dag: pool.submit(runs.run, dag, while_running=watch) for dag, watch in watched.items()}
        for name in SOURCES:
            conf = {"source_url": f"s3://inventory/{name}"}
            jobs[f"pipeline of {name}"] = pool.submit(runs.run, "pipeline", lambda conf=conf: conf)  # type: ignore[misc]
    return {dag: job.result() for dag, job in jobs.items()}


@pytest.fixture(scope="session")
def background(airflow: LocalAirflow) -> Iterator[ThreadPoolExecutor]:
    """For sequences of runs, which go on while others are looked at."""
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture(scope="session")
def nights(background: ThreadPoolExecutor, runs: Runs, aws: dict[str, AdsEmulator]) -> dict[str, Future[list[Night]]]:
    """The nights of an inventory in three parts, by its series."""
    ads = aws["aws_nightly"]
    ads.add_import_task(name="of another series", status="IMPORT_COMPLETE")
    series = {
        "sync": [("nightly_sync", False), ("nightly_sync", False)],
        "deferrable": [("nightly_deferrable", False), ("nightly_deferrable", True), ("nightly_lenient", True)],
    }
    return {name: background.submit(import_in_parts, runs, ads, name, nights) for name, nights in series.items()}


@pytest.fixture(scope="session")
def correction(background: ThreadPoolExecutor, runs: Runs, aws: dict[str, AdsEmulator]) -> Future[Correction]:
    """The example Dags with bad rows, until these are corrected."""
    create_topic("us-west-2", "migration")
    return background.submit(correct, runs, aws["aws_default"])


def end_once_deferred(ads: AdsEmulator) -> Callable[[str, list[TaskInstance]], None]:
    """Let imports go on until a task waits for them in the triggerer, however long Airflow takes to get there."""

    def end(run_id: str, task_instances: list[TaskInstance]) -> None:
        if any(task.state == "deferred" for task in task_instances):
            ads.import_seconds = 0.01

    return end


def tokens_of(aws: dict[str, AdsEmulator]) -> list[str]:
    """The client request tokens that the tasks have sent, derived ones too."""
    return [task["clientRequestToken"] for ads in aws.values() for task in ads.import_tasks()]


def changed(connection: str, extra: dict[str, Any] | None = None, **fields: Any) -> str:
    """A connection with other fields."""
    settings = json.loads(connection)
    return json.dumps({**settings, **fields, "extra": {**settings["extra"], **(extra or {})}})
