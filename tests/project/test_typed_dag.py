from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads import emulator, exceptions, hooks, links, operators, sensors, triggers


@pytest.mark.parametrize("module", [emulator, exceptions, hooks, links, operators, sensors, triggers])
def test_the_typed_dag_uses_every_public_class(module: ModuleType) -> None:
    classes = {name for name in module.__all__ if isinstance(getattr(module, name), type)}
    assert classes <= set(re.findall(r"\w+", Path(__file__).with_name("typed_dag.py").read_text()))


@pytest.mark.parametrize("shape", [iter, lambda values: dict(enumerate(values)).values()], ids=["generator", "view"])
@pytest.mark.parametrize(
    ("task_class", "parameter", "others"),
    [
        (operators.AdsStartImportTaskOperator, "import_url", {"name": "cmdb"}),
        (operators.AdsDeleteImportDataOperator, "import_task_id", {}),
        (operators.AdsFailedRecordsToS3Operator, "import_task_id", {"destination_url": "s3://bucket/failed"}),
        (operators.AdsPruneImportTasksOperator, "superseded_by", {"name_prefix": "cmdb-"}),
        (sensors.AdsImportTaskSensor, "import_task_id", {}),
    ],
)
def test_airflow_finds_templates_and_dependencies_in_every_shape_of_a_list(
    task_class: Any, parameter: str, others: dict[str, str], shape: Any
) -> None:
    dag = import_module("airflow.sdk" if AIRFLOW_V_3_0_PLUS else "airflow.models").DAG("dag", schedule=None)
    with dag:
        first = operators.AdsStartImportTaskOperator(task_id="start", name="cmdb", import_url="s3://bucket/key")
        task = task_class(task_id="next", **{parameter: shape(["{{ ds }}", first.output])}, **others)
    assert getattr(task, parameter) == ["{{ ds }}", first.output]
    assert task.upstream_task_ids == {"start"}
