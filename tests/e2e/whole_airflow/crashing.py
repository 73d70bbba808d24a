"""A crash of our own code, in a process of Airflow's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from airflow.triggers.base import TriggerEvent

from airflow_provider_ads.sensors import AdsImportTaskSensor
from airflow_provider_ads.triggers import AdsImportTaskTrigger

__all__ = ["CrashingSensor", "CrashingTrigger"]


class CrashingTrigger(AdsImportTaskTrigger):
    """A trigger that crashes, as late as the first event of a healthy one."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(5)
        raise RuntimeError("boom")
        yield


class CrashingSensor(AdsImportTaskSensor):
    """A sensor that crashes in ``poke``, or, where it has one, in its trigger."""

    def poke(self, context: Any) -> Any:
        if not self.deferrable:
            raise RuntimeError("boom")
        return super().poke(context)

    def defer(self, *, trigger: Any, **kwargs: Any) -> NoReturn:
        super().defer(trigger=CrashingTrigger(**trigger.serialize()[1]), **kwargs)
