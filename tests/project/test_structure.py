"""The structure of the repository: which folders and modules may import which, and where a fact has its only home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import botocore.session
import pytest

import airflow_provider_ads

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_ads"

#: Folders and the package's modules from the bottom to the top. A module imports only from lower layers and from its
#: own folder.
LAYERS = [
    {
        f"{PACKAGE}.discovery.limits",
        f"{PACKAGE}.discovery.statuses",
        f"{PACKAGE}.archives",
        f"{PACKAGE}.version_compat",
    },
    {f"{PACKAGE}.discovery", f"{PACKAGE}.provider_info", f"{PACKAGE}.links"},
    {f"{PACKAGE}.inventory", f"{PACKAGE}.exceptions", f"{PACKAGE}.lineage"},
    {f"{PACKAGE}.hooks", f"{PACKAGE}.emulator"},
    {f"{PACKAGE}.polling", f"{PACKAGE}.idempotency"},
    {f"{PACKAGE}.progress"},
    {f"{PACKAGE}.triggers"},
    {f"{PACKAGE}.waiting"},
    {f"{PACKAGE}.operators", f"{PACKAGE}.sensors"},
    {"example_dags", "sample_inventories"},
    {"tests.support"},
    {"tests.e2e", "tests.project", "tests.resilience", "tests.unit", "benchmarks", "scripts"},
]

#: Layers by folder or module.
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}

#: Modules that every other module may import.
FREE = {PACKAGE, "tests", "tests.conftest"}


@cache
def modules() -> dict[str, Path]:
    """Return the files of all Python modules by their names."""
    folders = [ROOT / name for name in ("benchmarks", "example_dags", "sample_inventories", "scripts", "tests")]
    # The package can be installed elsewhere.
    folders.append(Path(airflow_provider_ads.__file__).parent)
    return {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for folder in folders
        for path in folder.rglob("*.py")
    }


def home(module: str) -> str:
    """Return the folder or module of :data:`LAYERS` that contains a module."""
    parts = module.split(".")
    candidates = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in candidates if name in LAYER_OF), module)


def imports(module: str) -> Iterator[str]:
    """Yield the modules of this repository that a module imports, except for type checkers."""
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else str(node.module) for name in names]
        yield from (name for name in names if name in modules() and name not in FREE)


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_down(module: str) -> None:
    if module in FREE:
        return
    for imported in imports(module):
        same_folder = module.rpartition(".")[0] == imported.rpartition(".")[0] or home(module) == home(imported)
        assert same_folder or LAYER_OF[home(imported)] < LAYER_OF[home(module)], f"{module} imports {imported}"


def test_no_imports_form_a_circle() -> None:
    graph = {module: set(imports(module)) - {module} for module in modules()}
    # A package imports its modules for its users; the modules themselves must not import it.
    tuple(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", [name for name in sorted(modules()) if name.startswith("tests.")])
def test_no_test_imports_another_test(module: str) -> None:
    assert not [name for name in imports(module) if name.rpartition(".")[2].startswith("test_")]


@pytest.mark.parametrize("part", ["discovery", "inventory", "archives"])
def test_the_lower_layers_are_plain_python(part: str) -> None:
    for module, path in modules().items():
        if module == f"{PACKAGE}.{part}" or module.startswith(f"{PACKAGE}.{part}."):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
                assert not {name.partition(".")[0] for name in names} & {"airflow", "aiobotocore", "boto3", "botocore"}


def test_status_names_occur_only_in_statuses_and_verdicts() -> None:
    model: Any = botocore.session.get_session().get_service_model("discovery")
    statuses = set(model.shape_for("ImportStatus").enum)
    found = {}
    for module, path in modules().items():
        if not module.startswith(PACKAGE) or module.startswith(f"{PACKAGE}.emulator"):
            continue
        tree = ast.parse(path.read_text())
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        strings = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        ]
        if named := {status for status in statuses for text in strings if status in text}:
            found[module.removeprefix(f"{PACKAGE}.")] = named
    assert found.keys() == {"discovery.statuses", "discovery.verdicts"}


#: Modules without a test file of their own, and the reason.
UNTESTED = {
    "operators.deleting": "the tests of the two operators that extend it",
}


def test_the_unit_tests_mirror_the_package() -> None:
    unit = ROOT / "tests" / "unit"
    tested = {
        ".".join([*path.relative_to(unit).parent.parts, path.stem.removeprefix("test_")])
        for path in unit.rglob("test_*.py")
    }
    package = Path(airflow_provider_ads.__file__).parent
    existing = {
        ".".join(path.relative_to(package).with_suffix("").parts)
        for path in package.rglob("*.py")
        if path.name != "__init__.py"
    }
    assert tested - {"emulator.main", "emulator.clients"} <= existing
    assert existing - tested == UNTESTED.keys() | {"emulator.__main__"}
