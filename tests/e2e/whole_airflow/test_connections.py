"""Workers and the triggerer use the same endpoints and credentials, whatever the connection contains."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.connections import TABLE, DocumentedConnections
from tests.e2e.whole_airflow.runs import Run, Runs

KEY = "AKIAIOSFODNN7EXAMPLE"

#: For each connection, how a client must reach each service: host, credentials and HTTP status.
EXPECTED = {
    "access_keys": {"discovery": f"AWS, {KEY}, 200 OK"},
    "role": {"sts": f"AWS, {KEY}, 200 OK", "discovery": "AWS, discovery-import, 200 OK"},
    "web_identity": {"sts": "AWS, web identity, 200 OK", "discovery": "AWS, discovery-import-with-token, 200 OK"},
    "kubernetes_service_account": {
        "sts": "AWS, web identity, 200 OK",
        "discovery": "AWS, airflow-service-account, 200 OK",
    },
    "profile": {"discovery": "AWS, AKIAI44QH8DHBEXAMPLE, 200 OK"},
    "endpoint_url": {"discovery": f"private, {KEY}, 200 OK"},
    "service_config": {
        "sts": f"private STS, {KEY}, 200 OK",
        "discovery": "private, discovery-import-from-vpc, 200 OK",
    },
    "ca_bundle": {"discovery": f"own CA, {KEY}, 200 OK"},
    "verify_off": {"discovery": f"unknown CA, {KEY}, 200 OK"},
    "proxy": {"discovery": f"via proxy, {KEY}, 200 OK"},
}

CONNECTIONS = list(EXPECTED)

#: Workers have the name of the component that starts them.
COLUMNS = {"worker": "scheduler", "triggerer": "triggerer"}


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> Future[Run]:
    return runs.start("connections")


@pytest.fixture(scope="module")
def run(started: Any) -> Run:
    run: Run = started[__name__].result()
    return run


@pytest.fixture(scope="module")
def uses(run: Run, documented: DocumentedConnections) -> dict[str, dict[str, dict[str, str]]]:
    """The requests of the worker and the triggerer to each service, by connection; pytest prints them as a table."""
    found = {}
    for name in CONNECTIONS:
        contents = [f"{name} {run.run_id}", *documented.roles[name]]
        if run.task(name).state == "success":
            contents.append(run.xcom(name))
        found[name] = {column: documented.requests(app_id, *contents) for column, app_id in COLUMNS.items()}
    TABLE.append(f"{'connection':28}{'service':11}{'worker':51}triggerer")
    for name, columns in found.items():
        for service in sorted({service for column in columns.values() for service in column}):
            worker, triggerer = (columns[column].get(service, "not called") for column in COLUMNS)
            TABLE.append(f"{name:28}{service:11}{worker:51}{triggerer}")
    return found


def test_every_connection_of_the_page_is_tested(documented: DocumentedConnections) -> None:
    assert list(documented.roles) == CONNECTIONS == list(EXPECTED)


@pytest.mark.parametrize("name", CONNECTIONS)
def test_worker_and_triggerer_use_the_same_endpoints_and_credentials(
    run: Run, uses: dict[str, dict[str, dict[str, str]]], name: str
) -> None:
    assert uses[name] == dict.fromkeys(COLUMNS, EXPECTED[name])
    assert run.task(name).state == "success"
    assert run.events(name) == ["running", "deferred", "running", "success"]


def test_a_worker_reaches_s3_through_service_config(run: Run, documented: DocumentedConnections) -> None:
    assert run.task("prepare").state == "success"
    assert documented.requests("scheduler", "/connections/")["s3"] == "private, discovery-import-from-vpc, 200 OK"
