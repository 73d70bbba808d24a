"""The fixtures of tests that run in one process."""

from __future__ import annotations

from tests.support.fixtures import *  # noqa: F403
