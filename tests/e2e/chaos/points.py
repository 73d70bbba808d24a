"""The instants around the call that starts an import at which a task can be killed exactly."""

from __future__ import annotations

__all__ = ["AFTER", "BEFORE", "BETWEEN"]

BEFORE = "before the call"
BETWEEN = "between the call's arrival and its answer"
AFTER = "after the answer"
