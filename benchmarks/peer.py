"""The peer: the same wait as a user would write it today, on the Amazon provider's base trigger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.amazon.aws.triggers.base import AwsBaseWaiterTrigger

__all__ = ["PeerHook", "PeerTrigger"]


class PeerHook(AwsGenericHook[Any]):
    """A hook for the service, with the waiters in ``peer.json``."""

    #: Where the base class finds waiters.
    waiter_path = Path(__file__).with_suffix(".json")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "client_type": "discovery"})


class PeerTrigger(AwsBaseWaiterTrigger):
    """
    Wait until an import is no longer in progress.

    :param import_task_id: the import to wait for.
    :param waiter_delay: seconds between two polls.
    :param waiter_max_attempts: maximum number of polls.
    :param aws_conn_id: the Airflow connection.
    """

    aws_hook_class = PeerHook

    def __init__(
        self,
        import_task_id: str,
        waiter_delay: int = 60,
        waiter_max_attempts: int = 60,
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            serialized_fields={"import_task_id": import_task_id},
            waiter_name="import_ended",
            waiter_args={"filters": [{"name": "IMPORT_TASK_ID", "values": [import_task_id]}]},
            failure_message="The import failed",
            status_message="The import is",
            status_queries=["tasks[0].status"],
            return_key="import_task_id",
            return_value=import_task_id,
            waiter_delay=waiter_delay,
            waiter_max_attempts=waiter_max_attempts,
            aws_conn_id=aws_conn_id,
            **kwargs,
        )
