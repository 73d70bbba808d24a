"""
Limits that AWS sets for imports and exports, and the regions of the service, each with the page that documents it.

"Documented in 2022" marks limits whose page AWS has not republished since it archived the source of the user guide
(https://github.com/awsdocs/amazon-application-discovery-user-guide, commit 61493a7).
"""

from __future__ import annotations

__all__ = [
    "APPLICATIONS_PER_ACCOUNT",
    "CLIENT_REQUEST_TOKEN_MAX_CHARACTERS",
    "EXPORT_TASK_PAGE_SIZE",
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
    "SERVERS_PER_APPLICATION",
    "SERVICE_REGIONS",
    "TAGS_PER_SERVER",
    "VALUES_PER_FILTER",
]

#: Maximum number of characters in an import task's name, at least one of which is not a space.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
IMPORT_TASK_NAME_MAX_CHARACTERS = 255

#: Maximum number of characters in an import URL.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
IMPORT_URL_MAX_CHARACTERS = 4_000

#: Pattern of a whole import URL: a scheme, a host or bucket, and an object.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
IMPORT_URL_PATTERN = r"\S+://\S+/[\s\S]*\S[\s\S]*"

#: Maximum number of characters in a client request token.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
CLIENT_REQUEST_TOKEN_MAX_CHARACTERS = 100

#: Pattern of a whole import task id.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html
IMPORT_TASK_ID_PATTERN = r"import-task-[a-fA-F0-9]{32}"

#: Maximum number of values in one filter of DescribeImportTasks.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html
VALUES_PER_FILTER = 100

#: Maximum number of import tasks on one page of DescribeImportTasks.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_DescribeImportTasks.html
IMPORT_TASK_PAGE_SIZE = 100

#: Maximum number of export tasks that one call of DescribeExportTasks describes.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_DescribeExportTasks.html
EXPORT_TASK_PAGE_SIZE = 100

#: Maximum number of import tasks in one call of BatchDeleteImportData.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html
IMPORT_TASKS_PER_DELETION = 10

#: Maximum size of an import file in bytes. The page says "10 MB"; a decimal megabyte, the smaller of the two possible
#: meanings, is assumed. Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
IMPORT_FILE_MAX_BYTES = 10_000_000

#: Maximum number of import records in an account, which AWS does not raise. Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
IMPORT_RECORDS_PER_ACCOUNT = 25_000

#: Maximum number of import records that can be deleted in a day, which AWS does not raise. Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
IMPORT_RECORD_DELETIONS_PER_DAY = 25_000

#: Maximum number of imported servers in an account, which AWS raises on request (Service Quotas code L-E92F1B88).
#: Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
IMPORTED_SERVERS_PER_ACCOUNT = 10_000

#: Maximum number of applications in an account, which AWS does not raise.
#: https://docs.aws.amazon.com/general/latest/gr/appdiscserv.html
APPLICATIONS_PER_ACCOUNT = 1_000

#: Maximum number of servers in an application, which AWS does not raise. Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
SERVERS_PER_APPLICATION = 400

#: Maximum number of tags on a server. Documented in 2022.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
TAGS_PER_SERVER = 30

#: Regions in which AWS offers the service.
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
