"""All commands of the guides succeed in an empty folder, in order, and have the results that the guides describe."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from tests.support.free_ports import free_ports
from tests.support.markdown import COMMANDS_RUN, ROOT, blocks_of

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the guides are for Airflow 3")

#: Seconds for a whole guide. The test kills it after that, and prints the output so far.
TIMEOUT = 1_200


@dataclass
class GuideRun:
    """
    The commands of a guide, after they have run.

    :param folder: the folder in which they ran.
    :param output: their output; each command is on the line before its output.
    """

    folder: Path
    output: str

    def output_of(self, command: str, occurrence: int = 0) -> str:
        """Return the output of one command."""
        return re.split(r"^\++ ", self.output.split(f"\n+ {command}")[occurrence + 1], maxsplit=1, flags=re.MULTILINE)[
            0
        ]


def run_guide(guide: str, folder: Path) -> GuideRun:
    """Run all commands of a guide, and save its files."""
    (folder / "airflow-provider-ads").symlink_to(ROOT)
    script = []
    for block in blocks_of(ROOT / "docs" / "guides" / guide):
        if block.kind == "shell":
            script.append(block.text)
        elif block.saved_as:
            script.append(f"cat > {shlex.quote(block.saved_as)} <<'END OF THE FILE'\n{block.text}END OF THE FILE")
    return GuideRun(folder, run(script, folder))


def run(script: list[str], folder: Path) -> str:
    """Run commands in a folder; return their output."""
    # -m turns on job control, as in a terminal.
    script = ["set -e -m -o pipefail", "exec 2>&1", "PS4='\n+ '", "set -x", *script]
    emulator, api, worker_logs, trigger_logs = free_ports(4)
    with subprocess.Popen(
        # Another process might use the guide's port.
        ["bash", "-c", "\n".join(script).replace("5005", str(emulator))],
        cwd=folder,
        env={
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{api}",
            "AIRFLOW__API__PORT": str(api),
            # Parsing unchanged files again takes time.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
            # Otherwise, last midnight's scheduled run would come before the run that the guide triggers.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            output, _ = shell.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            kill(processes_in(folder))
            output = shell.communicate()[0] + f"\n(killed after {TIMEOUT} s)"
    logs = [f"\n--- {log.name}\n{log.read_text()[-5000:]}" for log in folder.glob("*/*.log")]
    assert shell.returncode == 0, output[-20_000:] + "".join(logs)
    return output


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in which no process may be left."""
    yield tmp_path
    _, left = psutil.wait_procs(processes_in(tmp_path), timeout=30)
    commands = [" ".join(process.cmdline()) for process in left]
    kill(left)
    assert commands == []


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes whose working directory is the folder or inside it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process)
    return found


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def test_the_guide_for_rvtools(folder: Path) -> None:
    done = run_guide("rvtools.md", folder)
    assert "us-west-2, the account's Migration Hub home region" in done.output
    first, last = done.output_of("aws discovery", 0), done.output_of("aws discovery", 1)
    # With a single import, the AWS CLI prints one line for each field.
    fields = dict(re.findall(r"^\| +(\w+) *\| +(\S+) +\|", first, re.MULTILINE))
    assert re.fullmatch(r"rvtools-manual__\S+-0", fields.pop("name"))
    assert fields == {"failed": "0", "servers": "40", "status": "IMPORT_COMPLETE"}
    assert re.findall(r"rvtools-manual__\S+-0 +\| +DELETE_COMPLETE", last), last
    assert re.findall(r"rvtools-by-hand-0 +\| +IMPORT_COMPLETE", last), last
    assert re.search(r"by-hand +success", done.output)


def test_the_guide_for_a_cmdb(folder: Path) -> None:
    done = run_guide("cmdb.md", folder)
    guide = (ROOT / "docs" / "guides" / "cmdb.md").read_text()
    assert done.output_of("head -n 1").splitlines()[-1] in guide
    listed = done.output_of("aws discovery", 0)
    imported = [int(count) for count in re.findall(r"-\d +\| +(\d+) +\| +IMPORT_COMPLETE", listed)]
    assert len(imported) == 4
    (quarantine,) = (folder / "cmdb" / "quarantine").rglob("quarantine.csv")
    quarantined = count_rows(quarantine)
    failed = sum(count_rows(entries) for entries in (folder / "cmdb" / "failed").rglob("failed-entries.csv"))
    assert sum(imported) + quarantined + failed == 6_000
    for count in (sum(imported) + failed, quarantined, failed, sum(imported)):
        assert f"{count:,}" in guide
    statuses = re.findall(r"(\w+_COMPLETE\w*)", done.output_of("aws discovery", 1))
    assert sorted(status.partition("_")[0] for status in statuses) == 4 * ["DELETE"] + 4 * ["IMPORT"]


def count_rows(file: Path) -> int:
    """Return the number of a CSV file's rows below its header."""
    with file.open(newline="") as lines:
        return len(list(csv.reader(lines))) - 1


def test_the_commands_of_other_pages(folder: Path) -> None:
    start, *others = COMMANDS_RUN
    (folder / "sample_inventories").symlink_to(ROOT / "sample_inventories")
    output = run(
        [
            f"{start} > emulator.log 2>&1 &",
            "emulator=$!",
            "until grep -q '^export AWS_ENDPOINT_URL' emulator.log; do sleep 1; done",
            'eval "$(grep ^export emulator.log)"',
            *others,
            'kill "$emulator"',
        ],
        folder,
    )
    assert '"name": "cmdb"' in output
    assert re.search(r"^airflow-provider-ads +\| ", output, re.MULTILINE)
