"""The size of a resilience run, from environment variables; without them it is a short run."""

from __future__ import annotations

import os

__all__ = ["IMPORTS", "KILLS", "OUTAGE", "STS", "TASKS", "WAITS"]

#: Kills at each kill point of ``test_kills.py``; twice as many for tasks, three times as many at random.
KILLS = int(os.environ.get("RESILIENCE_KILLS", "1"))

#: Waits of ``test_faults.py``, and the seconds for which AWS is out of reach meanwhile.
WAITS = int(os.environ.get("RESILIENCE_WAITS", "100"))
OUTAGE = float(os.environ.get("RESILIENCE_OUTAGE", "3"))

#: Seconds that the STS of ``test_credentials.py`` takes to answer.
STS = float(os.environ.get("RESILIENCE_STS", "12"))

#: Deferred tasks of ``test_triggerer_load.py``, which runs only if the variable is set or the file is named.
TASKS = int(os.environ.get("RESILIENCE_TASKS", "300"))

#: Imports of ``test_distributed.py``, which runs only if the variable is set or the file is named.
IMPORTS = int(os.environ.get("RESILIENCE_IMPORTS", "90"))
