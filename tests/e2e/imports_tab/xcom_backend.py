"""An XCom backend for Airflow that stores some values elsewhere, as those for object storage do."""

from __future__ import annotations

from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

__all__ = ["ReferenceXComBackend"]


class ReferenceXComBackend(BaseXCom):
    """Airflow's XCom backend, except for one Dag, of whose values Airflow's database contains only references."""

    @staticmethod
    def serialize_value(value: Any, **kwargs: Any) -> Any:
        """Return what Airflow's database will contain."""
        stored = "s3://xcoms/<b>reference</b>" if kwargs.get("dag_id") == "tab_references" else value
        return BaseXCom.serialize_value(stored, **kwargs)
