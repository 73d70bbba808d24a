from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import matrix_table

STEPS = {
    "tests/unit": "3 passed, 1 skipped in 2.00s",
    "tests/unit/test_provider_info.py": "2 passed in 1.00s",
    "tests/project/test_example_dags.py": "1 passed in 1.00s",
    "tests/e2e/test_every_version.py": "3 passed in 9.00s",
}


def table(folder: Path, environments: list[str], end_to_end: dict[str, Any] | None = None) -> int:
    """Print the table, of which one environment has run; return the exit status."""
    runs: list[dict[str, Any]] = [
        {"command": ["python", "-m", "pytest", path], "output": f"...\n{line}\n", "retcode": 0}
        for path, line in STEPS.items()
    ]
    runs[-1] |= end_to_end or {}
    (folder / "results.json").write_text(json.dumps({"testenvs": {"py311-there": {"test": runs}}}))
    return matrix_table.main(str(folder / "results.json"), *environments)


def test_all_is_green_if_every_step_of_every_environment_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table(tmp_path, ["py311-there"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    cells = [cell.strip() for cell in line.split("  ") if cell.strip()]
    assert cells == ["py311-there", "3 passed", "2 passed", "1 passed", "3 passed"]


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"output": "1 failed, 2 passed in 9.00s\n", "retcode": 1}, "1 failed, 2 passed, exit 1"),
        ({"output": "3 passed in 9.00s\n", "retcode": 1}, "3 passed, exit 1"),
        ({"output": "", "retcode": -9}, "exit -9"),
        ({"output": "no tests ran in 0.01s\n", "retcode": 5}, "exit 5"),
    ],
)
def test_a_step_that_did_not_pass_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], result: dict[str, Any], told: str
) -> None:
    assert table(tmp_path, ["py311-there"], result) == 1
    assert capsys.readouterr().out.splitlines()[1].endswith(f"  {told}")


def test_an_environment_that_did_not_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert table(tmp_path, ["py311-there", "py399-missing"]) == 1
    assert capsys.readouterr().out.splitlines()[2].split("  ")[0] == "py399-missing"
