"""An auth manager for Airflow with users who may not read."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

__all__ = ["RestrictedAuthManager"]


class RestrictedAuthManager(SimpleAuthManager):
    """Airflow's simple auth manager, except for the users ``without_xcoms`` and ``without_dags``."""

    def is_authorized_dag(self, *, user: Any, access_entity: Any = None, **kwargs: Any) -> bool:
        """Return True unless the user's name forbids it."""
        if user.username == "without_dags":
            return False
        if user.username == "without_xcoms" and access_entity == DagAccessEntity.XCOM:
            return False
        return super().is_authorized_dag(user=user, access_entity=access_entity, **kwargs)
