"""What Airflow's processes do besides, in the load test: Airflow imports this into each of them as it starts."""

from __future__ import annotations

import importlib
import os
import sys

from tests.resilience.load.notes import note_in_forks

__all__: list[str] = []

if sys.orig_argv[-1] == "triggerer":
    note_in_forks()
elif sys.orig_argv[-1] == "scheduler":
    # The workers are forks of the scheduler: what it has loaded, 600 executions of tasks need not load again.
    os.register_at_fork(before=lambda: importlib.import_module("airflow_provider_ads.sensors"))
