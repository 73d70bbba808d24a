"""A sensor and a trigger that crash, for Dags of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from airflow.triggers.base import TriggerEvent

from airflow_provider_ads.sensors import AdsImportTaskSensor
from airflow_provider_ads.triggers import AdsImportTaskTrigger

__all__ = ["CrashingSensor", "CrashingTrigger"]


class CrashingTrigger(AdsImportTaskTrigger):
    """A trigger that crashes no sooner than a healthy one fires its first event."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(5)
        raise RuntimeError("boom")
        yield


class CrashingSensor(AdsImportTaskSensor):
    """A sensor that crashes in its trigger if it is deferrable, and in ``poke`` otherwise."""

    def poke(self, context: Any) -> Any:
        if not self.deferrable:
            raise RuntimeError("boom")
        return super().poke(context)

    def defer(self, *, trigger: Any, **kwargs: Any) -> NoReturn:
        super().defer(trigger=CrashingTrigger(**trigger.serialize()[1]), **kwargs)
