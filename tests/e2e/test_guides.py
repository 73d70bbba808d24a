"""All commands of the guides succeed in an empty folder, in order, and have the results that the guides describe."""

from __future__ import annotations

import contextlib
import json
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

#: A program that replaces a task in a Dag file.
REPLACE_TASK = r"""
import re, sys
file, task = sys.argv[1:]
text = open(file).read()
(old,) = re.findall(rf"^{task.partition('=')[0]}=.*?^    \)\n", text, re.DOTALL | re.MULTILINE)
open(file, "w").write(text.replace(old, task))
"""


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
    """Run all commands of a guide, save and change its files, and check the output that it quotes."""
    (folder / "airflow-provider-ads").symlink_to(ROOT)
    blocks = blocks_of(ROOT / "docs" / "guides" / guide)
    script = []
    for block in blocks:
        if block.kind == "shell":
            # The dry run fails if it has a question, and the reader answers it.
            script.append(
                re.sub(r"^python -m airflow_provider_ads\.inventory .*", r"\g<0> || true", block.text, flags=re.M)
            )
        elif block.saved_as:
            script.append(f"cat > {shlex.quote(block.saved_as)} <<'END OF THE FILE'\n{block.text}END OF THE FILE")
        elif block.changes:
            script.append(f"python -c {shlex.quote(REPLACE_TASK)} {block.changes} {shlex.quote(block.text)}")
    done = GuideRun(folder, run(script, folder))
    rest = done.output
    for block in blocks:
        if block.kind == "text":
            # Three dots stand for output that the guide omits.
            for quoted in filter(None, re.split(r"\n?\.\.\.\n", block.text)):
                assert quoted in rest, f"{block} quotes what was not printed:\n{quoted}\n--- in\n{rest[-20_000:]}"
                rest = rest.partition(quoted)[2]
    return done


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
    # The AWS CLI sorts the columns by name.
    assert re.findall(r"^\| +(\d+) +\| +(\w+) +\| +(\d+) +\| +(\w+) +\|$", first, re.MULTILINE) == [
        ("0", "IMPORT_TEMPLATE", "40", "IMPORT_COMPLETE")
    ]
    assert re.findall(r"(\w+) *\| +(rvtools-[a-z-]+)\S+ +\| +(\w+)", last) == [
        ("IMPORT_TEMPLATE", "rvtools-manual", "DELETE_COMPLETE"),
        ("RVTOOLS_EXPORT", "rvtools-by-hand-part-", "IMPORT_COMPLETE"),
    ]
    assert re.search(r"by-hand +success", done.output)


def test_the_guide_for_servicenow(folder: Path) -> None:
    done = run_guide("cmdb.md", folder)
    (quarantine,) = (folder / "cmdb" / "quarantine").rglob("quarantine.csv")
    counts = json.loads(done.output_of("aws discovery", 0).partition("\n")[2])
    read, filtered = (
        int(re.findall(rf"^{name} +(\d+)$", done.output, re.MULTILINE)[0]) for name in ("rows read", "filtered")
    )
    quarantined = len(quarantine.read_text(encoding="cp1252").splitlines()) - 1
    assert read == counts["imported"] + counts["failed"] + quarantined + filtered
    total = (
        f"{counts['imported']} imported + {counts['failed']} failed + {quarantined} quarantined + {filtered} filtered"
    )
    assert f"{read} rows = {total}" in (ROOT / "docs" / "guides" / "cmdb.md").read_text()
    statuses = re.findall(r"(\w+_COMPLETE\w*)", done.output_of("aws discovery", 1))
    assert sorted(statuses) == ["DELETE_COMPLETE", "IMPORT_COMPLETE_WITH_ERRORS"]


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
