from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(
    path
    for path in (ROOT / "example_dags").glob("example_*.py")
    if path.stem.endswith("_airflow_2") is not AIRFLOW_V_3_0_PLUS
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_loads_without_a_warning(path: Path) -> None:
    spec: Any = importlib.util.spec_from_file_location(path.stem, path)
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag = module.start_import.dag
    assert dag.dag_id == path.stem
    assert dag.default_args["retries"] > 0
    assert dag.task_dict["wait_for_import"].upstream_task_ids == {"start_import"}


def test_the_example_for_airflow_2_differs_in_its_import_alone() -> None:
    def body(name: str) -> list[str]:
        lines = (ROOT / "example_dags" / f"{name}.py").read_text().splitlines()[1:]
        return [
            line for line in lines if not line.startswith("# [") and "import DAG" not in line and "dag_id" not in line
        ]

    assert body("example_ads_import") == body("example_ads_import_airflow_2")


def test_the_readmes_quick_start_is_the_example() -> None:
    source = (ROOT / "example_dags" / "example_ads_import.py").read_text()
    region = source.partition("# [START quick_start]\n")[2].partition("# [END quick_start]")[0]
    assert f"```python\n{region}```" in (ROOT / "README.md").read_text()
