"""Airflow imports this module into each of its processes as it starts."""

from __future__ import annotations

import importlib
import os
import sys

__all__: list[str] = []

if sys.orig_argv[-1] == "scheduler":
    # Tasks run in forks of the scheduler. They start faster if the scheduler has imported the provider and boto3.
    os.register_at_fork(before=lambda: importlib.import_module("airflow_provider_ads.sensors"))
