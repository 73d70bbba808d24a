"""The instants at which a task can be killed exactly."""

from __future__ import annotations

__all__ = ["AFTER", "BEFORE", "BETWEEN", "WAITING"]

# Around the call that starts or deletes imports, or the upload of a file.
BEFORE = "before the call"
BETWEEN = "between the call's arrival and its answer"
AFTER = "after the answer"

# Of one that waits on the worker, as soon as it does; of one that is deferred, when it has come back.
WAITING = "waiting, or back from the triggerer"
