"""Names whose home differs between the supported versions of Airflow, and nothing else."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

# apache-airflow-providers-common-compat has this module since 1.8.
if TYPE_CHECKING or find_spec("airflow.providers.common.compat.sdk"):
    from airflow.providers.common.compat.sdk import (
        AirflowFailException,
        AirflowSensorTimeout,
        AirflowSkipException,
        PokeReturnValue,
        conf,
    )
else:
    from airflow.configuration import conf
    from airflow.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
    from airflow.sensors.base import PokeReturnValue

__all__ = [
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "PokeReturnValue",
    "conf",
]
