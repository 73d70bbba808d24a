"""
Every number that AWS sets for imports, and where it offers them, with the page that says so.

"Documented in 2022" marks numbers whose page AWS has not republished since it archived the user guide's
source (https://github.com/awsdocs/amazon-application-discovery-user-guide, commit 61493a7).
"""

from __future__ import annotations

__all__ = [
    "CLIENT_REQUEST_TOKEN_MAX_CHARACTERS",
    "IMPORTED_SERVERS_PER_ACCOUNT",
    "IMPORT_FILE_MAX_BYTES",
    "IMPORT_RECORDS_PER_ACCOUNT",
    "IMPORT_RECORD_DELETIONS_PER_DAY",
    "IMPORT_TASKS_PER_DELETION",
    "IMPORT_TASK_ID_PATTERN",
    "IMPORT_TASK_NAME_MAX_CHARACTERS",
    "IMPORT_TASK_PAGE_SIZE",
    "IMPORT_URL_MAX_CHARACTERS",
    "IMPORT_URL_PATTERN",
    "SERVICE_REGIONS",
    "TAGS_PER_SERVER",
    "VALUES_PER_FILTER",
]

#: Characters of an import task's name, of which one at least is not a space.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
IMPORT_TASK_NAME_MAX_CHARACTERS = 255

#: Characters of an import URL.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
IMPORT_URL_MAX_CHARACTERS = 4_000

#: What the whole of an import URL must match: a scheme, a host or bucket, and an object.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
IMPORT_URL_PATTERN = r"\S+://\S+/[\s\S]*\S[\s\S]*"

#: Characters of a client request token.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
CLIENT_REQUEST_TOKEN_MAX_CHARACTERS = 100

#: What the whole of an import task id must match.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html
IMPORT_TASK_ID_PATTERN = r"import-task-[a-fA-F0-9]{32}"

#: Values in one filter of DescribeImportTasks.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html
VALUES_PER_FILTER = 100

#: Import tasks on one page of DescribeImportTasks, at most.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_DescribeImportTasks.html
IMPORT_TASK_PAGE_SIZE = 100

#: Import tasks in one call of BatchDeleteImportData.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html
IMPORT_TASKS_PER_DELETION = 10

#: Bytes of an import file: "10 MB", read here as decimal because the page does not say. Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
IMPORT_FILE_MAX_BYTES = 10_000_000

#: Records that an account may hold from imports, never raised. Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
IMPORT_RECORDS_PER_ACCOUNT = 25_000

#: Import records that may be deleted in a day, never raised. Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
IMPORT_RECORD_DELETIONS_PER_DAY = 25_000

#: Servers that an account may hold from imports, until AWS raises it (Service Quotas code L-E92F1B88).
#: Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
IMPORTED_SERVERS_PER_ACCOUNT = 10_000

#: Tags that a server may have. Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
TAGS_PER_SERVER = 30

#: The regions that the service is offered in.
#: https://docs.aws.amazon.com/general/latest/gr/appdiscserv.html
SERVICE_REGIONS = (
    "us-east-1",
    "us-west-2",
    "ap-northeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
)
