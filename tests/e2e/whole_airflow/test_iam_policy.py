"""The documented IAM policy allows what the runs needed, and nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.nights import Correction, Night
from tests.e2e.whole_airflow.runs import Run

PERMISSIONS = Path(__file__).parents[3] / "docs" / "permissions.md"


def test_allows_the_actions_of_the_whole_run(
    finished: dict[str, Run],
    nights: dict[str, Future[list[Night]]],
    correction: Future[Correction],
    aws: dict[str, AdsEmulator],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sequences: list[Future[Any]] = [correction, *nights.values()]
    wait(sequences)
    policy = re.findall(r"```json\n(\{\s+\"Version\".+?)```", PERMISSIONS.read_text(), re.DOTALL)[0]
    allowed = [action for statement in json.loads(policy)["Statement"] for action in statement["Action"]]
    needed: Counter[str] = Counter()
    for emulator in aws.values():
        needed += emulator.iam_actions()
    # Of the example's notifier, in whose place every reader has another one: its permissions are not the provider's.
    del needed["sns:Publish"]
    with capsys.disabled():
        print(f"\nIAM actions of the whole run, counted: {dict(needed)}")
    assert sorted(allowed) == sorted(needed)
