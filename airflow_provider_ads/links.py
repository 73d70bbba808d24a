"""Links from a task in the Airflow UI to the AWS console."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink

__all__ = ["MigrationHubLink"]


class MigrationHubLink(BaseAwsLink):
    """
    Link to the Migration Hub console in the region that the task called.

    AWS documents no address of the Imports page itself, which is at "Discover", "Imports" in the console's menu:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    """

    name = "AWS Migration Hub"
    key = "migration_hub_link"
    format_str = BASE_AWS_CONSOLE_LINK + "/migrationhub/?region={region_name}"

    @classmethod
    def persist_for(cls, context: Any, task: Any) -> None:
        """
        Store the region and the partition of the link as an XCom.

        :param context: the task's context.
        :param task: the operator or sensor, after its hook has called AWS.
        """
        cls.persist(
            context=context,
            operator=task,
            region_name=task.hook.conn_region_name,
            aws_partition=task.hook.conn_partition,
        )
