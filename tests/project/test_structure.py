"""Rules for the structure of the repository: imports, status names, and unit tests."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import botocore.session
import pytest

import airflow_provider_ads

PACKAGE = Path(airflow_provider_ads.__file__).parent
ROOT = Path(__file__).parents[2]

#: Modules and folders from the lowest to the highest. A module imports only from lower layers and its own folder.
LAYERS = [
    {"airflow_provider_ads", "airflow_provider_ads.version_compat"},
    {
        *("airflow_provider_ads.archives", "airflow_provider_ads.links"),
        *("airflow_provider_ads.log_redaction", "airflow_provider_ads.moved", "airflow_provider_ads.provider_info"),
    },
    {"airflow_provider_ads.discovery"},
    {"airflow_provider_ads.inventory", "airflow_provider_ads.exceptions", "airflow_provider_ads.lineage"},
    {"airflow_provider_ads.hooks", "airflow_provider_ads.plugin"},
    {"airflow_provider_ads.clients", "airflow_provider_ads.idempotency"},
    {"airflow_provider_ads.polling"},
    {"airflow_provider_ads.progress"},
    {"airflow_provider_ads.triggers"},
    {"airflow_provider_ads.waiting"},
    {"airflow_provider_ads.operators", "airflow_provider_ads.sensors", "airflow_provider_ads.emulator"},
    {"example_dags", "sample_inventories"},
    {"tests.conftest", "tests.support"},
    {"benchmarks", "scripts"},
    {"tests.e2e", "tests.project", "tests.resilience", "tests.unit"},
]
LAYER_OF = {part: number for number, layer in enumerate(LAYERS) for part in layer}

#: The emulator implements the service's rules itself, so that one mistake cannot pass on both sides.
EMULATOR_IMPORTS = {"airflow_provider_ads.discovery.limits", "airflow_provider_ads.inventory.template"}

#: Modules without a test file of their own, and the modules that they are tested through.
TESTED_THROUGH = {
    "inventory.read_workbook": "inventory.workbook",
    "operators.deleting": "operators.delete_import_data and operators.prune_import_tasks",
}


def name_of(path: Path, root: Path) -> str:
    """Return the module's name; for an ``__init__.py``, the package's."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {
    name_of(path, PACKAGE.parent if root is PACKAGE else ROOT): path
    for root in (
        PACKAGE,
        *(ROOT / name for name in ("benchmarks", "example_dags", "sample_inventories", "scripts", "tests")),
    )
    for path in sorted(root.rglob("*.py"))
    if path != ROOT / "tests" / "__init__.py"
}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}
MODULES = [name for name in SOURCES if name.startswith("airflow_provider_ads") and not name.endswith("__main__")]


def imported(name: str) -> set[str]:
    """Return all modules that a module imports; those of this repository with their full names."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{name} uses a relative import"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {module if module in SOURCES else node.module for module in submodules}
    return found


IMPORTED = {name: imported(name) & SOURCES.keys() for name in SOURCES}


def part_of(name: str) -> str:
    """Return the entry of ``LAYERS`` that a module belongs to."""
    for part in LAYER_OF:
        if name == part or (name.startswith(f"{part}.") and part != PACKAGE.name):
            return part
    raise AssertionError(f"Add {name} to LAYERS in tests/project/test_structure.py")


def test_modules_import_only_from_lower_layers_and_their_own_folder() -> None:
    upward = {
        (name, other)
        for name, others in IMPORTED.items()
        for other in others
        if part_of(other) != part_of(name) and LAYER_OF[part_of(other)] >= LAYER_OF[part_of(name)]
    }
    assert upward == set()


def test_no_imports_are_circular() -> None:
    TopologicalSorter(IMPORTED).prepare()


def test_no_module_imports_a_test_module() -> None:
    assert [name for name, others in IMPORTED.items() if any(".test_" in other for other in others)] == []


def test_the_emulator_uses_only_limits_and_column_names_of_the_package() -> None:
    used = {other for name in MODULES if part_of(name).endswith(".emulator") for other in IMPORTED[name]}
    assert {name for name in used if ".emulator" not in name} == EMULATOR_IMPORTS


@pytest.mark.parametrize("name", [name for name in MODULES if re.search(r"\.(archives|discovery|inventory)\b", name)])
def test_modules_about_the_service_and_its_files_are_plain_python(name: str) -> None:
    tops = {other.partition(".")[0] for other in imported(name)}
    assert not tops & {"airflow", "boto3", "botocore", "aiobotocore"}


def test_only_statuses_and_verdicts_name_the_statuses_of_aws() -> None:
    model: Any = botocore.session.get_session().get_service_model("discovery")
    a_status = re.compile(rf"\b({'|'.join(model.shape_for('ImportStatus').enum)})\b")
    named = {}
    for name in MODULES:
        # A string that is a statement is a docstring.
        docstrings = {node.value for node in ast.walk(TREES[name]) if isinstance(node, ast.Expr)}
        strings = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Constant) and node not in docstrings]
        named[name] = {found for node in strings for found in a_status.findall(str(node.value))}
    allowed = {f"airflow_provider_ads.discovery.{name}" for name in ("statuses", "verdicts")}
    others = {name: found for name, found in named.items() if found and name not in allowed and ".emulator" not in name}
    assert others == {}


def test_unit_tests_mirror_the_package() -> None:
    folder = ROOT / "tests" / "unit"
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.name for path in files if not path.name.startswith("test_")} <= {"__init__.py", "conftest.py"}
    tested = {name_of(path, folder).replace("test_", "") for path in files if path.name.startswith("test_")}
    modules = {name_of(path, PACKAGE).replace("__", "") for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    assert tested == modules - TESTED_THROUGH.keys()
