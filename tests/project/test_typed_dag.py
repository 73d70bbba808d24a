from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from airflow_provider_ads import emulator, exceptions, hooks, links, operators, sensors, triggers


@pytest.mark.parametrize("module", [emulator, exceptions, hooks, links, operators, sensors, triggers])
def test_the_typed_dag_uses_every_public_class(module: ModuleType) -> None:
    classes = {name for name in module.__all__ if isinstance(getattr(module, name), type)}
    assert classes <= set(re.findall(r"\w+", Path(__file__).with_name("typed_dag.py").read_text()))
