"""One Airflow with the Imports tab for all tests in this folder, another API server with users, and one browser."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome

from airflow_provider_ads.emulator import AdsEmulator
from sample_inventories.cmdb_export import make_cmdb_export
from tests.e2e.imports_tab.tab import HOSTILE, Tab
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.support.airflow import AIRFLOW_3_1, COMPONENTS, LocalAirflow
from tests.support.browser import open_browser
from tests.support.postgresql import LocalPostgresql

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

#: XComs as the provider's tasks push them, with names from a hostile file and account.
HOSTILE_XCOMS = {
    "report": {
        "parts": [{"url": f"s3://inventory/{HOSTILE}", "rows": 3}],
        "rows_quarantined": 1,
        "rows_filtered": {f"header {HOSTILE}": 2},
        "quarantine_url": f"s3://inventory/quarantine {HOSTILE}",
        "columns": [{"header": f"column {HOSTILE}", "column": "HostName", "invalid": 1}],
        "columns_ignored": [f"ignored {HOSTILE}"],
        "columns_unknown": [f"unknown {HOSTILE}"],
        "source_format": f"format {HOSTILE}",
        "warnings": [f"warning {HOSTILE}"],
    },
    "import_task": {
        "importTaskId": f"import-task-{0:032}",
        "name": f"name {HOSTILE}",
        "importUrl": f"s3://inventory/{HOSTILE}",
        "status": f"STATUS {HOSTILE}",
    },
    "deletion": {"dry_run": True, "import_tasks": [{"importTaskId": f"import-task-{1:032}", "name": f"old {HOSTILE}"}]},
    "record_quota": {"before": 20_000, "after": 26_000},
}

#: XComs with the provider's keys, of which only one has the provider's form.
MALFORMED_XCOMS = {
    "report": {"parts": [], "quarantine_url": "s3://a/b", "columns": 5},
    "import_task": {
        "importTaskId": f"import-task-{2:032}",
        "importUrl": "s3://inventory/part.csv",
        "status": "IMPORT_COMPLETE",
        "serverImportSuccess": 3,
    },
    "deletion": {"dry_run": False, "import_tasks": [{"importTaskId": f"import-task-{3:032}", "status": 5}]},
    "record_quota": {"before": {"toLocaleString": 1}, "after": 2},
}

#: Only the first of the users may read everything.
USERS = {name: secrets.token_hex(8) for name in ("reader", "without_xcoms", "without_dags")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="Airflow before 3.1 has no tabs of plugins")
    for item in items if not AIRFLOW_3_1 else []:
        if HERE in item.path.parents:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def aws() -> Iterator[dict[str, AdsEmulator]]:
    """The emulators, by the Airflow connection that points to them; they share their S3 buckets."""
    with (
        AdsEmulator(import_seconds=0.1, delete_seconds=0.1) as fast,
        AdsEmulator(import_seconds=3600) as slow,
        AdsEmulator(import_seconds=0.1) as cleared,
    ):
        fast.upload("s3://inventory/good.csv", make_cmdb_export(6))
        # One of the rows is quarantined, one fails at AWS, and 200 are filtered.
        fast.upload("s3://inventory/bad.csv", make_cmdb_export(600))
        fast.upload(f"s3://inventory/{HOSTILE}.txt", "neither a template nor an RVTools export")
        fast.upload("s3://inventory/cleared.csv", "ExternalId,HostName\n1,a.example\n")
        # The run "good" deletes it.
        fast.add_import_task(name="good-older", status="IMPORT_COMPLETE", serverImportSuccess=7)
        yield {"aws_default": fast, "aws_slow": slow, "aws_cleared": cleared}


@pytest.fixture(scope="session")
def environment(aws: dict[str, AdsEmulator]) -> dict[str, str]:
    """The settings of both API servers."""
    return {
        **{f"AIRFLOW_CONN_{name.upper()}": ads.airflow_connection for name, ads in aws.items()},
        "AIRFLOW__AWS_APPLICATION_DISCOVERY__IMPORTS_TAB": "True",
        "AIRFLOW__SCHEDULER__ALLOWED_RUN_ID_PATTERN": ".*",
        "AIRFLOW__CORE__XCOM_BACKEND": "tests.e2e.imports_tab.xcom_backend.ReferenceXComBackend",
        # Parsing unchanged files again would take more time than the tasks.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        # A test holds a task while it reads its Dag.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """The database of both API servers."""
    with LocalPostgresql() as postgresql:
        yield postgresql.url


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], database_url: str
) -> Iterator[LocalAirflow]:
    """A whole Airflow with the Dags of the tests, in which every viewer may do everything."""
    home = tmp_path_factory.mktemp("imports-tab") / "airflow"
    with LocalAirflow(home, HERE / "dags", environment, database_url) as running:
        yield running
        # The tests do not need a clean end, which takes seconds.
        running.kill()


@pytest.fixture(scope="session")
def runs(airflow: LocalAirflow) -> Iterator[dict[str, Future[Run]]]:
    """The runs that end on their own, by what is special about them; they run side by side."""
    good, bad = "s3://inventory/good.csv", "s3://inventory/bad.csv"
    configurations: dict[str, tuple[str, dict[str, Any]]] = {
        "good": ("tab_pipeline", {"source_url": good, "name_prefix": "good-"}),
        "partial": ("tab_pipeline", {"source_url": bad, "name_prefix": "partial-"}),
        "failed": ("tab_one_file", {"source_url": f"s3://inventory/{HOSTILE}.txt"}),
        "cleared": ("tab_held", {}),
        "mapped": ("tab_mapped", {"source_url": bad}),
        "of fifty parts": ("tab_fifty_parts", {"source_url": bad}),
        "with references": ("tab_references", {"source_url": good}),
        "without imports": ("tab_without_imports", {}),
        "hostile": ("tab_reports", {"xcoms": HOSTILE_XCOMS}),
        "malformed": ("tab_reports", {"xcoms": MALFORMED_XCOMS}),
    }
    with ThreadPoolExecutor(len(configurations)) as threads:
        start = Runs(airflow, threads).start
        yield {
            name: start(dag_id, partial(configuration, name, conf)) for name, (dag_id, conf) in configurations.items()
        }


def configuration(name: str, conf: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a run, with an id of its own."""
    run_id = f"{name}-{secrets.token_hex(4)}"
    return {"run_id": f"{HOSTILE}&run_id=+{run_id}" if name == "failed" else run_id, **conf}


@pytest.fixture(scope="session")
def second_airflow(
    tmp_path_factory: pytest.TempPathFactory, airflow: LocalAirflow, environment: dict[str, str], database_url: str
) -> Iterator[LocalAirflow]:
    """Another API server of the same Airflow, which is under a base path and has users."""
    home = tmp_path_factory.mktemp("second-api-server")
    (home / "passwords.json").write_text(json.dumps(USERS))
    second = LocalAirflow(
        home,
        HERE / "dags",
        {
            **environment,
            "AIRFLOW__CORE__AUTH_MANAGER": "tests.e2e.imports_tab.auth_manager.RestrictedAuthManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:viewer" for name in USERS),
        },
        database_url,
        {"api-server": COMPONENTS["api-server"]},
    )
    second.url += "/base/path"
    second.environment["AIRFLOW__API__BASE_URL"] = second.url
    try:
        second.start_components()
        yield second
    finally:
        second.kill()


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    """A browser."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def tab(chrome: Chrome, airflow: LocalAirflow) -> Tab:
    """The page of the tab, for a viewer who may do everything."""
    return log_in(chrome, airflow, f"{airflow.url}/auth/token")


@pytest.fixture
def tab_of(chrome: Chrome, second_airflow: LocalAirflow) -> Callable[[str | None], Tab]:
    """Return a function that returns the page of the tab under a base path, for a user, or for nobody."""

    def tab(user: str | None) -> Tab:
        if user is None:
            return log_in(chrome, second_airflow, None)
        body = json.dumps({"username": user, "password": USERS[user]}).encode()
        request = urllib.request.Request(f"{second_airflow.url}/auth/token", body, {"Content-Type": "application/json"})
        return log_in(chrome, second_airflow, request)

    return tab


def log_in(chrome: Chrome, airflow: LocalAirflow, request: urllib.request.Request | str | None) -> Tab:
    """Give the browser the token that a request returns, or none, and return the page of the tab."""
    # A browser accepts cookies only for the server that it shows.
    chrome.get(f"{airflow.url}/ads-imports/")
    chrome.delete_all_cookies()
    if request is not None:
        with urllib.request.urlopen(request, timeout=30) as answer:
            token = json.load(answer)["access_token"]
        chrome.add_cookie({"name": "_token", "value": token, "path": urlsplit(airflow.url).path or "/"})
    return Tab(chrome, airflow.url)
