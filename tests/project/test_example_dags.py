from __future__ import annotations

import csv
import importlib.util
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.operators import AdsStartImportTaskOperator
from sample_inventories.rvtools_export import make_rvtools_export
from tests.support.moto import read_object
from tests.support.task_runs import run_task

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(
    path
    for path in (ROOT / "example_dags").glob("example_*.py")
    if path.stem.endswith("_airflow_2") is not AIRFLOW_V_3_0_PLUS
)


def load(path: Path) -> Any:
    spec: Any = importlib.util.spec_from_file_location(path.stem, path)
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dag_of(path: Path) -> Any:
    module = load(path)
    return module.dag if hasattr(module, "dag") else module.start_import.dag


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_loads_without_a_warning(path: Path) -> None:
    assert dag_of(path).dag_id == path.stem


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_page_of_an_example_explains_it(path: Path) -> None:
    dag = dag_of(path)
    _, drawing, heading, *_ = dag.doc_md.strip().split("\n\n")
    assert dag.description
    # Airflow's page keeps line breaks and blanks only in a block with a language, and is narrow.
    assert drawing.startswith("```text\n")
    assert max(map(len, drawing.splitlines())) <= 54
    assert set(re.findall(r"[a-z]+_[a-z_]+|prepare|query", drawing)) - {"migration_hub_servers"} == set(dag.task_ids)
    assert heading == "**What to change**"
    assert {task.owner for task in dag.tasks} == {"migration-team"}
    assert set(dag.tags) == {"example", "migration"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_form_checks_what_users_enter_and_scheduled_runs_need_none(path: Path) -> None:
    params = dag_of(path).params
    params.validate()
    has_url = not {"import_url", "source_url"}.isdisjoint(params)
    assert has_url is (path.stem not in ("example_ads_check_connection", "example_ads_database"))
    for name, valid, invalid in (
        ("import_url", "s3://bucket/key.csv", "https://bucket/key.csv"),
        ("source_url", "s3://bucket/key.csv", "s3://bucket"),
        ("prefix", "dmz-", "dmz"),
        ("max_failed_records", None, -1),
    ):
        if name in params:
            assert params.get_param(name).description
            params[name] = valid
            with pytest.raises(Exception, match=re.escape(repr(invalid))):
                params[name] = invalid


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_task_that_waits_updates_the_asset(path: Path) -> None:
    outlets = {task.task_id: [outlet.uri for outlet in task.outlets] for task in dag_of(path).tasks if task.outlets}
    waits = "wait_for_import" if "wait_for_import" in dag_of(path).task_ids else "import_files"
    assert outlets == ({} if "connection" in path.stem else {waits: ["migration_hub_servers"]})


@pytest.mark.parametrize("path", [path for path in EXAMPLES if "import" in path.stem], ids=lambda path: path.stem)
def test_an_import_has_retries_and_a_sensor(path: Path) -> None:
    dag = load(path).start_import.dag
    assert dag.default_args["retries"] > 0
    assert dag.task_dict["wait_for_import"].upstream_task_ids == {"start_import"}


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the example is for Airflow 3")
def test_the_connection_check_fails_without_a_retry_and_names_the_region(aws_default: AdsEmulator) -> None:
    module = load(ROOT / "example_dags" / "example_ads_check_connection.py")
    task = module.dag.task_dict["check_connection"]
    assert task.retries == 0
    assert "Imports can be listed in us-west-2" in task.python_callable()
    aws_default.home_region = "eu-west-1"
    with pytest.raises(RuntimeError, match="Set region_name to eu-west-1"):
        task.python_callable()


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the example is for Airflow 3")
def test_the_rvtools_example_is_scheduled_and_deletes_only_its_own_imports() -> None:
    tasks = load(ROOT / "example_dags" / "example_ads_rvtools.py").dag.task_dict
    assert {name: sorted(task.upstream_task_ids) for name, task in tasks.items()} == {
        "prepare": [],
        "import_files": ["prepare"],
        "delete_older_imports": ["import_files"],
    }
    assert tasks["prepare"].dag.schedule == "@daily"
    assert tasks["import_files"].name.startswith(tasks["delete_older_imports"].name_prefix)


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the example is for Airflow 3")
def test_the_rvtools_example_prepares_an_export_that_the_service_imports(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_default.upload("s3://migration-inventory/rvtools/export.xlsx", make_rvtools_export(40))
    dag = load(ROOT / "example_dags" / "example_ads_rvtools.py").dag
    task = dag.task_dict["prepare"]
    task.render_template_fields({"params": dag.params.dump(), "run_id": "run"})
    (import_url,) = run_task(task, monkeypatch).result
    summary = run_task(
        AdsStartImportTaskOperator(
            task_id="start", name="rvtools", import_url=import_url, wait_for_completion=True, poll_interval=0.01
        ),
        monkeypatch,
    ).xcoms["import_task"]
    assert (summary["fileClassification"], summary["serverImportSuccess"]) == ("RVTOOLS_EXPORT", 40)


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the example is for Airflow 3")
def test_the_database_example_imports_the_result_of_its_query(
    aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("pandas", reason="SqlToS3Operator needs pandas, which only the newest set has")
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    # The first upload creates the bucket.
    aws_default.upload("s3://migration-inventory/other.csv", "")
    database = tmp_path / "cmdb.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(
            "CREATE TABLE servers (asset_tag, hostname, addresses, memory_gb, status);"
            "INSERT INTO servers VALUES"
            " ('0002', 'b.example', NULL, NULL, 'in use'),"
            " ('0003', 'c.example', '10.0.0.3', 8, 'sold'),"
            " ('0001', 'a.example', '10.0.0.1, 10.1.0.1', 16, 'in use'),"
            " ('0004', 'd.example', 'ask the team', 8, 'in use');"
        )

    class CmdbHook(DbApiHook):
        conn_name_attr = "cmdb_conn_id"
        default_conn_name = "cmdb"

        def get_conn(self) -> sqlite3.Connection:
            return sqlite3.connect(database)

    tasks = load(ROOT / "example_dags" / "example_ads_database.py").dag.task_dict
    assert tasks["prepare"].upstream_task_ids == {"query"}
    # Airflow's provider for SQLite, which would return such a hook, is not installed.
    monkeypatch.setenv("AIRFLOW_CONN_CMDB", "sqlite://")
    monkeypatch.setattr(tasks["query"], "_get_hook", CmdbHook)
    for task in (tasks["query"], tasks["prepare"]):
        task.render_template_fields({"run_id": "run"})
    queried = run_task(tasks["query"], monkeypatch)
    assert (queried.state, queried.error) == ("success", None)
    prepared = run_task(tasks["prepare"], monkeypatch)
    assert prepared.result == ["s3://migration-inventory/prepared/run/part-0001.csv"]
    assert list(csv.reader(read_object(prepared.result[0]).decode().splitlines())) == [
        ["ExternalId", "HostName", "IPAddress", "RAM.TotalSizeInMB"],
        ["0001", "a.example", "10.0.0.1, 10.1.0.1", "16384"],
        ["0002", "b.example", "", ""],
    ]
    assert prepared.xcoms["report"]["rows_quarantined"] == 1
    assert prepared.xcoms["report"]["columns_unknown"] == []


def test_the_example_for_airflow_2_differs_only_in_its_imports() -> None:
    def body(name: str) -> list[str]:
        code = (ROOT / "example_dags" / f"{name}.py").read_text().split('"""', 2)[2]
        return [line for line in code.splitlines() if not re.match(r"# \[|from airflow\.| +dag_id=", line)]

    assert body("example_ads_import") == body("example_ads_import_airflow_2")
