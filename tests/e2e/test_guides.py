"""A reader who does what a guide says gets what it says: all its commands are run, in order, in an empty folder."""

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
from tests.support.markdown import COMMANDS_RUN, ROOT, blocks_of, commands_of

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the guides are for Airflow 3")

#: Seconds for a whole guide; what hangs for longer is killed, and the test says how far it came.
PATIENCE = 1_800


@dataclass
class Walk:
    """
    What became of the commands of a guide.

    :param folder: the folder that its reader began in.
    :param commands: how many commands there were.
    :param printed: what they printed, each after a line with the command itself.
    """

    folder: Path
    commands: int
    printed: str

    def after(self, command: str, occurrence: int = 0) -> str:
        """What one of the commands printed."""
        return re.split(r"^\++ ", self.printed.split(f"\n+ {command}")[occurrence + 1], maxsplit=1, flags=re.MULTILINE)[
            0
        ]


def walk(guide: str, folder: Path) -> Walk:
    """Do what a guide says."""
    (folder / "airflow-provider-ads").symlink_to(ROOT)
    script = []
    commands = 0
    for block in blocks_of(ROOT / "docs" / "guides" / guide):
        if block.kind == "shell":
            script.append(block.text)
            commands += len(commands_of(block))
        elif block.saved_as:
            script.append(
                f"cat > {shlex.quote(block.saved_as)} <<'THE END OF THE FILE'\n{block.text}THE END OF THE FILE"
            )
    return Walk(folder, commands, run(script, folder))


def run(script: list[str], folder: Path) -> str:
    """Run commands in a folder; return what they printed."""
    # With the job control that a terminal has.
    script = ["set -e -m -o pipefail", "exec 2>&1", "PS4='\n+ '", "set -x", *script]
    emulator, api, worker_logs, trigger_logs = free_ports(4)
    with subprocess.Popen(
        # The port is the only thing that is changed: somebody else on this machine may have the one of the guides.
        ["bash", "-c", "\n".join(script).replace("5005", str(emulator))],
        cwd=folder,
        env={
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{api}",
            "AIRFLOW__API__PORT": str(api),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
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
            printed, _ = shell.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            kill(processes_in(folder))
            printed = shell.communicate()[0] + f"\n(killed after {PATIENCE} s)"
    logs = [f"\n--- {log.name}\n{log.read_text()[-5000:]}" for log in folder.glob("*/*.log")]
    assert shell.returncode == 0, printed[-20_000:] + "".join(logs)
    return printed


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Path]:
    """The folder of a reader; no process may be left in it."""
    yield tmp_path
    _, left = psutil.wait_procs(processes_in(tmp_path), timeout=30)
    named = [" ".join(process.cmdline()) for process in left]
    kill(left)
    assert named == []


def processes_in(folder: Path) -> list[psutil.Process]:
    """The processes that were started in a folder or below it."""
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


def test_from_an_rvtools_export_to_a_schedule(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = walk("rvtools.md", reader)
    with capsys.disabled():
        print(f"\nrvtools.md: {done.commands} commands, all of which succeeded")
    assert "Imports can be listed in us-west-2" in done.printed
    first, last = done.after("aws discovery", 0), done.after("aws discovery", 1)
    # The AWS CLI gives one import a line for each of its fields.
    fields = dict(re.findall(r"^\| +(\w+) *\| +(\S+) +\|", first, re.MULTILINE))
    assert re.fullmatch(r"rvtools-manual__\S+-0", fields.pop("name"))
    assert fields == {"failed": "0", "servers": "40", "status": "IMPORT_COMPLETE"}
    assert re.findall(r"rvtools-manual__\S+-0 +\| +DELETE_COMPLETE", last), last
    assert re.findall(r"rvtools-by-hand-0 +\| +(IMPORT|DELETE)_COMPLETE", last), last
    assert re.search(r"by-hand +success", done.printed)


def test_from_a_cmdb_extract(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = walk("cmdb.md", reader)
    with capsys.disabled():
        print(f"\ncmdb.md: {done.commands} commands, all of which succeeded")
    guide = (ROOT / "docs" / "guides" / "cmdb.md").read_text()
    header = done.after("head -n 1")
    assert header.splitlines()[-1] in guide
    servers = [
        int(number) for number in re.findall(r"-\d +\| +(\d+) +\| +IMPORT_COMPLETE", done.after("aws discovery"))
    ]
    assert len(servers) == 4
    (quarantine,) = (reader / "cmdb" / "quarantine").rglob("quarantine.csv")
    with quarantine.open(newline="") as file:
        quarantined = len(list(csv.reader(file))) - 1
    failed = 0
    for entries in (reader / "cmdb" / "failed").rglob("failed-entries.csv"):
        with entries.open(newline="") as file:
            failed += len(list(csv.reader(file))) - 1
    assert sum(servers) + quarantined + failed == 6_000
    assert f"{sum(servers) + failed:,} rows written, {quarantined} set aside" in guide
    assert f"Here {failed} rows have a number that is out of range" in guide
    assert f"All others were imported: {sum(servers):,}." in guide
    statuses = re.findall(r"(\w+_COMPLETE\w*)", done.after("aws discovery", 1))
    assert sorted(status.partition("_")[0] for status in statuses) == 4 * ["DELETE"] + 4 * ["IMPORT"]


def test_the_commands_beside_the_guides(reader: Path) -> None:
    start, *others = COMMANDS_RUN
    (reader / "sample_inventories").symlink_to(ROOT / "sample_inventories")
    printed = run(
        [
            f"{start} > emulator.log 2>&1 &",
            "emulator=$!",
            "until grep -q '^export AWS_ENDPOINT_URL' emulator.log; do sleep 1; done",
            'eval "$(grep ^export emulator.log)"',
            *others,
            'kill "$emulator"',
        ],
        reader,
    )
    assert '"name": "cmdb"' in printed
    assert re.search(r"^airflow-provider-ads +\| ", printed, re.MULTILINE)
