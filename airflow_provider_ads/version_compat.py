"""Imports that differ between the supported versions of Airflow, and nothing else."""

from __future__ import annotations

try:
    # apache-airflow-providers-common-compat has all of these names since 1.12.
    from airflow.providers.common.compat.sdk import (
        AirflowFailException,
        AirflowSensorTimeout,
        AirflowSkipException,
        PokeReturnValue,
        conf,
    )
except ImportError:
    from airflow.configuration import conf
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowFailException,
        AirflowSensorTimeout,
        AirflowSkipException,
    )
    from airflow.sensors.base import PokeReturnValue  # type: ignore[import-not-found, no-redef]

__all__ = [
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "PokeReturnValue",
    "conf",
]
