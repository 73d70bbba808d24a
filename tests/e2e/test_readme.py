"""The README's example of a test works as it stands there."""

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


def test_the_example_of_a_test_passes(airflow_home: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n((?:(?!```).)*?def test_.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "test_my_dag.py").write_text(code)
    example = "example_ads_import.py" if AIRFLOW_V_3_0_PLUS else "example_ads_import_airflow_2.py"
    shutil.copy(ROOT / "example_dags" / example, tmp_path / "my_dag.py")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_dag.py"],
        cwd=tmp_path,
        env={**environment(airflow_home), "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path), "AWS_CONFIG_FILE": os.devnull},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout
    assert f"{code.count('def test_')} passed" in run.stdout
