"""Dags keep working if they import names from where 0.1.0's reference listed them."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

#: The public names of 0.1.0's plain modules, except for those whose meaning has changed.
NAMES = {
    "import_file": "ImportFileError OnInvalidRows Part PreparedImportFile Source prepare_import_file",
    "import_task": "DELETION_FAILED_STATUSES DELETION_RUNNING_STATUSES DELETION_STATUSES IMPORT_DONE_STATUSES "
    "IMPORT_FAILED_STATUSES IMPORT_RUNNING_STATUSES TRY_AGAIN_STATUSES Verdict VerdictKind check_client_request_token "
    "check_import_task_ids check_import_url check_max_failed_records check_name judge_deletion judge_import",
    "import_template": "IDENTITY_COLUMNS IDENTITY_PAIR NUMERIC_COLUMNS TEMPLATE_COLUMNS ImportFileError quote",
    "record_quota": "RecordQuota",
    "rvtools": "REQUIRED_SHEETS write_rvtools_part",
}
OLD = [(f"airflow_provider_ads.discovery.{module}", name) for module, names in NAMES.items() for name in names.split()]


@pytest.mark.parametrize(("module", "name"), OLD, ids=lambda value: value.rpartition("discovery.")[2])
def test_a_name_that_has_moved_is_returned_with_a_warning_that_contains_its_new_module(module: str, name: str) -> None:
    old = import_module(module)
    with pytest.warns(DeprecationWarning, match=r"^Import \w+ from ([\w.]+), not from " + module) as warnings:
        value = getattr(old, name)
    _, new_name, _, new_module, *_ = str(warnings[0].message).replace(",", "").split()
    assert warnings[0].filename == __file__
    assert new_module != module
    if name != "prepare_import_file":
        assert value is getattr(import_module(new_module), new_name)


@pytest.mark.parametrize("module", sorted({module for module, _ in OLD}))
def test_an_unknown_name_is_an_import_error(module: str) -> None:
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec(f"from {module} import nothing")


def test_preparing_accepts_the_arguments_of_the_old_module(tmp_path: Path) -> None:
    with pytest.deprecated_call():
        from airflow_provider_ads.discovery.import_file import prepare_import_file  # type: ignore[import-not-found]
    source = io.BytesIO(b"name,HostName\nweb-1,x\n,y\n")
    prepared = prepare_import_file(
        source, tmp_path, {"name": "HostName", "HostName": None}, 1_000, on_invalid_rows="quarantine"
    )
    assert prepared.rows_quarantined == 1


def test_a_star_import_has_the_names_of_the_old_module() -> None:
    names: dict[str, object] = {}
    with pytest.deprecated_call():
        exec("from airflow_provider_ads.discovery.import_template import *", names)
    assert "ServerId" in names["TEMPLATE_COLUMNS"]  # type: ignore[operator]
    assert find_spec("airflow_provider_ads.discovery.import_template")


def test_the_statement_import_accepts_old_modules() -> None:
    import airflow_provider_ads.discovery.record_quota  # type: ignore[import-not-found]

    with pytest.deprecated_call():
        assert airflow_provider_ads.discovery.record_quota.RecordQuota(1, 0).used == 1


def test_the_package_itself_uses_no_old_import() -> None:
    code = "import airflow_provider_ads.operators, airflow_provider_ads.sensors, airflow_provider_ads.emulator"
    subprocess.run([sys.executable, "-W", "error:Import:DeprecationWarning", "-c", code], check=True)
