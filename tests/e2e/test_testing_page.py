"""The example tests in docs/testing.md pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from tests.e2e.conftest import environment

ROOT = Path(__file__).parents[2]


def test_the_example_tests_pass(airflow_home: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    examples = [code for code in re.findall(r"```python\n(.+?)```", page, re.DOTALL) if "def test_" in code]
    assert len(examples) == 2
    if not AIRFLOW_V_3_0_PLUS:
        # The others import DAG from Airflow 3.
        examples = [code for code in examples if "airflow.sdk" not in code]
    for number, code in enumerate(examples):
        (tmp_path / f"test_my_dag_{number}.py").write_text(code)
    dag = "example_ads_import.py" if AIRFLOW_V_3_0_PLUS else "example_ads_import_airflow_2.py"
    shutil.copy(ROOT / "example_dags" / dag, tmp_path / "my_dag.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env={**environment(airflow_home), "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path), "AWS_CONFIG_FILE": os.devnull},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout
    assert f"{''.join(examples).count('def test_')} passed" in run.stdout
