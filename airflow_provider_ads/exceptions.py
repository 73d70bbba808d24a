"""
What can go wrong::

    AdsError
    ├── ImportOutcomeError           an import ended, and not as it should: a verdict on the import
    ├── ImportDeletionError          the data of an import could not be deleted
    └── AdsCallError                 no verdict could be had: AWS refused, did not answer, or answered nonsense
        ├── ImportTaskNotFound       AWS does not know the import
        └── ImportWaitTimeout        the time to wait ran out before the import ended
            ├── ImportNotSeen        the time to wait ran out before there was an import of that name
            └── DeletionWaitTimeout  the time to wait ran out before its data were deleted

The errors are plain Python, because Airflow treats its own exceptions differently when a sensor pokes and
when it was deferred. Where a failure must be final, :func:`fail_without_retry` says so to Airflow.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from itertools import islice
from types import SimpleNamespace
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, SSLError

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.limits import SERVICE_REGIONS
from airflow_provider_ads.version_compat import AirflowFailException

__all__ = [
    "EXPIRED_CREDENTIALS_CODES",
    "OVER_LIMIT",
    "AdsCallError",
    "AdsError",
    "DeletionWaitTimeout",
    "ImportDeletionError",
    "ImportNotSeen",
    "ImportOutcomeError",
    "ImportTaskNotFound",
    "ImportWaitTimeout",
    "call_error",
    "deletion_error",
    "fail_without_retry",
]


class AdsError(Exception):
    """Everything that this provider raises about AWS Application Discovery Service."""


class ImportOutcomeError(AdsError):
    """
    One or more imports ended, and not as they should.

    :param message: which imports, what happened to each, and what to do next.
    :param import_tasks: the summaries of all imports that were waited for, failed or not.
    :param try_again: whether starting the failed imports once more may end better.
    """

    def __init__(self, message: str, import_tasks: Sequence[dict[str, Any]], try_again: bool) -> None:
        super().__init__(message)
        self.import_tasks = list(import_tasks)
        self.try_again = try_again

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.import_tasks, self.try_again)


class ImportDeletionError(AdsError):
    """
    The data of one or more imports could not be deleted.

    :param message: which imports, why, and what to do next.
    :param errors: for each of them the service's code (``NOT_FOUND``, ``OVER_LIMIT``, ``INTERNAL_SERVER_ERROR``) or
        the status that its deletion ended with. The others are deleted, or will be.
    """

    def __init__(self, message: str, errors: Mapping[str, str]) -> None:
        super().__init__(message)
        self.errors = dict(errors)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.errors)


class AdsCallError(AdsError):
    """
    No verdict on an import could be had.

    :param message: which call failed, why, and what to do next.
    :param code: the error code of AWS (``AuthorizationErrorException``), the name of the error that kept the call
        from AWS (``EndpointConnectionError``), or the provider's own word for what happened: the name of a subclass,
        ``UnknownStatus``, ``UnexpectedEvent``, ``TriggerFailure``, ``ImportInProgress``, or one of those of
        :class:`~airflow_provider_ads.discovery.failed_records.FailedRecordsError`.
    :param import_task_id: the import concerned, if it is one.
    :param transient: whether the same call may succeed a little later.
    """

    def __init__(self, message: str, code: str, import_task_id: str | None = None, transient: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.import_task_id = import_task_id
        self.transient = transient

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.code, self.import_task_id, self.transient)


class ImportTaskNotFound(AdsCallError):
    """
    The account has no such import task in this region: the id is wrong, or somebody deleted its history.

    :param import_task_id: the id that was asked for.
    :param region_name: the region that was asked.
    """

    def __init__(self, import_task_id: str, region_name: str | None) -> None:
        super().__init__(
            f"{import_task_id} is not known in {region_name}. Check that region_name is the Migration Hub home "
            "region that the import was started in, that aws_conn_id leads to the same account, and that nobody "
            "deleted the import with its history.",
            code="ImportTaskNotFound",
            import_task_id=import_task_id,
        )
        self.region_name = region_name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.import_task_id, self.region_name)


class ImportWaitTimeout(AdsCallError):
    """
    The time to wait ran out before the imports ended; they go on at AWS, which has no way to cancel them.

    :param import_tasks: the summaries of the imports as last seen; one that was never seen has no status.
    :param last_error: why the last look at them failed, if it did.
    """

    #: What becomes of the import, and what to do next.
    goes_on = (
        "The import goes on at AWS, which works off one at a time and cannot cancel any. Allow more time, and wait for "
        "it with AdsImportTaskSensor."
    )

    def __init__(self, import_tasks: Sequence[dict[str, Any]], last_error: str | None) -> None:
        tasks = "; ".join(str(ImportTask.from_response(task)) for task in import_tasks)
        seen = f" Last seen: {tasks}." if tasks else ""
        error = f" The last look failed: {last_error}" if last_error else ""
        super().__init__(
            f"The time to wait ran out.{seen}{error} {self.goes_on}",
            code=type(self).__name__,
        )
        self.import_tasks = list(import_tasks)
        self.last_error = last_error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.import_tasks, self.last_error)


class ImportNotSeen(ImportWaitTimeout):
    """
    The time to wait ran out before an import of a name was seen.

    :param name: the name that was looked for.
    :param region_name: the region that was asked.
    :param last_error: why the last look failed, if it did; then there may be such an import after all.
    """

    def __init__(self, name: str, region_name: str | None, last_error: str | None) -> None:
        seen = (
            f"No import named {name!r} was seen in {region_name}."
            if last_error is None
            else f"So it is not known whether {region_name} has an import named {name!r}."
        )
        self.goes_on = (
            f"{seen} Check that name is exactly that of the import, that region_name is the Migration Hub home region "
            "that it is started in, and that aws_conn_id leads to the same account."
        )
        super().__init__([], last_error)
        self.name = name
        self.region_name = region_name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.region_name, self.last_error)


class DeletionWaitTimeout(ImportWaitTimeout):
    """The time to wait ran out before data were deleted; the deletion goes on. Parameters as of its base."""

    goes_on = "The deletion goes on at AWS. Allow more time; a retry of the task waits for it."


#: Imports that one message names, at most.
IMPORTS_NAMED = 20

#: Codes after which new credentials may help where the old ones have run out, or were rotated.
#: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html lists the spellings.
EXPIRED_CREDENTIALS_CODES = frozenset(
    {
        "CredentialRetrievalError",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "NoCredentialsError",
        "RequestExpired",
        "UnrecognizedClientException",
    }
)

_NOT_ALLOWED = (
    "The credentials may not call {action}. Allow the action in the IAM policy of the user or role behind aws_conn_id"
)
#: What may also be the reason that S3 denies a file.
#: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
_DENIED_OR_MISSING = (
    ", and check the policies of the bucket and of its key. Without s3:ListBucket, S3 answers the same when there is "
    "no such file: check the URL, too"
)
_SET_HOME_REGION = (
    "Set region_name to the account's Migration Hub home region, which the Migration Hub console and "
    "'aws migrationhub-config get-home-region' name; if the account has none yet, choose one in the console"
)
_WRONG_REGION = f"The region is not the account's home region, or the account has none. {_SET_HOME_REGION}"
_WRONG_CREDENTIALS = "AWS does not know these credentials. Correct the access key and the secret of aws_conn_id"
_WRONG_SIGNATURE = (
    "The secret does not belong to the access key, or the clock is wrong. Correct the secret of aws_conn_id, and check "
    "the machine's clock"
)
_UNKNOWN_CODE = (
    "This version of airflow-provider-ads has no advice for this code. See the message of AWS; AWS Support can look up "
    "the request id"
)
_EXPIRED_CREDENTIALS = "The credentials have expired. Renew those of aws_conn_id"
_NO_CREDENTIALS = (
    "No credentials were found. Give aws_conn_id an access key or a role, or check that the machine's own role "
    "can be read"
)
_WRONG_PARAMETER = "AWS did not accept a parameter, which the message names. Correct it and run the task again"

#: What a user can do about an error code. Those of the service itself are on the pages of its operations, such as
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html; the others are
#: those of AWS services in general, https://docs.aws.amazon.com/securityhub/1.0/APIReference/CommonErrors.html, and
#: the names of botocore's own errors.
_ADVICE = {
    # What botocore makes of an answer of S3, or of something before it, that has no code.
    "403": _NOT_ALLOWED,
    "AccessDenied": _NOT_ALLOWED,
    "AccessDeniedException": _NOT_ALLOWED,
    "AuthorizationErrorException": _NOT_ALLOWED,
    "ConnectTimeoutError": "The endpoint did not answer. Check the network, the proxy and the region",
    "CredentialRetrievalError": _NO_CREDENTIALS,
    "EndpointConnectionError": (
        "The endpoint cannot be reached. Check the network, the proxy, the region and the endpoint_url of aws_conn_id"
    ),
    "ExpiredToken": _EXPIRED_CREDENTIALS,
    "ExpiredTokenException": _EXPIRED_CREDENTIALS,
    "HTTPClientError": "The request could not be sent. Check verify, the proxy and the network",
    "HomeRegionNotSetException": _WRONG_REGION,
    "IncompleteSignature": _WRONG_CREDENTIALS,
    "IncompleteSignatureException": _WRONG_CREDENTIALS,
    "InvalidClientTokenId": _WRONG_CREDENTIALS,
    "InvalidInputException": _WRONG_REGION,
    "InvalidParameterException": _WRONG_PARAMETER,
    "InvalidParameterValueException": _WRONG_PARAMETER,
    "InvalidSignatureException": _WRONG_SIGNATURE,
    "MissingAuthenticationToken": _NO_CREDENTIALS,
    "MissingAuthenticationTokenException": _NO_CREDENTIALS,
    "NoCredentialsError": _NO_CREDENTIALS,
    "NoSuchBucket": "Correct the name of the bucket, or create it",
    "NoSuchKey": "Correct the key of the file, or upload it",
    "NoRegionError": "No region is set. " + _SET_HOME_REGION,
    "OptInRequired": (
        "The account is not subscribed to the service, which has taken no new customers since 7 November 2025"
    ),
    "ParamValidationError": _WRONG_PARAMETER,
    "PartialCredentialsError": _WRONG_CREDENTIALS,
    "ProfileNotFound": "Correct profile_name in aws_conn_id, or give the machine that profile",
    "RequestExpired": "The request was too old. Check the machine's clock, or renew the credentials of aws_conn_id",
    "ResourceInUseException": (
        "The client_request_token was used before, for an import with another name or URL. Use a new token for "
        "a new import"
    ),
    "SSLError": "The endpoint's certificate was not accepted. Check verify and the proxy",
    "SignatureDoesNotMatch": _WRONG_SIGNATURE,
    "UnknownRegionError": (
        "No such region. Correct region_name, here or in aws_conn_id; the service is offered in "
        + ", ".join(SERVICE_REGIONS)
    ),
    "UnrecognizedClientException": _WRONG_CREDENTIALS,
}

#: The IAM prefix of the operations that are not the service's own.
#: https://docs.aws.amazon.com/migrationhub/latest/ug/migrationhub-api-permissions-ref.html
_IAM_PREFIXES = {
    "AssumeRole": "sts",
    "AssumeRoleWithSAML": "sts",
    "AssumeRoleWithWebIdentity": "sts",
    "GetCallerIdentity": "sts",
    "GetHomeRegion": "mgh",
    "GetObject": "s3",
    "PutObject": "s3",
}

#: What botocore would retry as well, but certificates and CA bundles do not mend themselves.
_LASTING = (ssl.SSLError, FileNotFoundError, IsADirectoryError, PermissionError)


def call_error(
    error: ClientError | BotoCoreError, operation: str, about: str, region_name: str | None, aws_conn_id: str | None
) -> AdsCallError:
    """
    Turn what boto3 raised into an error that says what to do.

    :param error: what was raised.
    :param operation: the operation, ``DescribeImportTasks`` for example.
    :param about: which imports the call was about, or what else it was for.
    :param region_name: the region that was called.
    :param aws_conn_id: the connection that the credentials are from.
    """
    response: Any = {}
    if isinstance(error, ClientError):
        response = error.response
        # Not always the operation that was asked for: a connection with a role calls AWS STS first.
        operation = error.operation_name
    metadata = response.get("ResponseMetadata", {})
    code = response.get("Error", {}).get("Code") or type(error).__name__
    transient = _is_transient(error, response)
    reason = response.get("Error", {}).get("Message") or str(error)
    request_id = f" (request id {metadata['RequestId']})" if metadata.get("RequestId") else ""
    advice = _ADVICE.get(code)
    if advice is None:
        advice = "This may pass by itself" if transient else _UNKNOWN_CODE
    elif advice is _NOT_ALLOWED and operation == "GetObject":
        advice += _DENIED_OR_MISSING
    action = f"{_IAM_PREFIXES.get(operation, 'discovery')}:{operation}"
    return AdsCallError(
        f"{operation} for {about} in {region_name or 'no region'} with aws_conn_id={aws_conn_id!r} failed with {code}: "
        f"{reason.rstrip('.')}{request_id}. {advice.format(action=action)}.",
        code=code,
        transient=transient,
    )


def _is_transient(error: ClientError | BotoCoreError, response: Any) -> bool:
    """Tell whether botocore would try again, but for what does not mend itself."""
    # Here, because the triggerer imports this module on its event loop, which to load all of botocore would keep busy.
    from botocore.retries.standard import (
        OrRetryChecker,
        RetryContext,
        ThrottledRetryableChecker,
        TransientRetryableChecker,
    )

    context = RetryContext(
        attempt_number=1,
        parsed_response=response,
        http_response=SimpleNamespace(status_code=response.get("ResponseMetadata", {}).get("HTTPStatusCode")),
        caught_exception=error,
    )
    cause = getattr(error, "kwargs", {}).get("error")
    if isinstance(error, SSLError) or isinstance(cause, _LASTING):
        return False
    if isinstance(error, IncompleteReadError):
        # The connection broke off while an object of S3 was read, which botocore leaves to its caller.
        return True
    return bool(OrRetryChecker([TransientRetryableChecker(), ThrottledRetryableChecker()]).is_retryable(context))


#: The code of imports that were not deleted because the account has deleted as many records as a day allows.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportDataError.html
OVER_LIMIT = "OVER_LIMIT"

#: What to do about an import that the service refuses to delete.
_DELETION_ADVICE = {
    "INTERNAL_SERVER_ERROR": "The service itself failed: run the task again",
    "NOT_FOUND": (
        "Check that region_name is the Migration Hub home region that the import was started in, and that aws_conn_id "
        "leads to the same account"
    ),
    OVER_LIMIT: "The account's limit of 25,000 deleted records a day is reached: run the task again after 00:00 UTC",
}


def deletion_error(refused: Mapping[str, Mapping[str, str]], region_name: str | None) -> ImportDeletionError:
    """
    Turn what the service said about imports that it does not delete into an error that says what to do.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportDataError.html

    :param refused: the service's own entry for each of them, by the id of the import.
    :param region_name: the region that was called.
    """
    codes = {import_task_id: error.get("errorCode", "no code") for import_task_id, error in refused.items()}
    named = []
    for import_task_id, code in islice(codes.items(), IMPORTS_NAMED):
        description = refused[import_task_id].get("errorDescription", "").rstrip(".")
        named.append(f"{import_task_id} ({code}{': ' if description else ''}{description})")
    if len(codes) > len(named):
        named.append(f"and {len(codes) - len(named):,} more")
    advice = [_DELETION_ADVICE.get(code, "See the message of AWS") for code in dict.fromkeys(codes.values())]
    return ImportDeletionError(
        f"Not deleted in {region_name}: {'; '.join(named)}. {'. '.join(dict.fromkeys(advice))}.", codes
    )


def fail_without_retry(error: Exception) -> NoReturn:
    """
    Fail the task at once, whatever its ``retries``.

    Airflow takes this one exception alike in every mode: it is never retried, and skipped under ``soft_fail``.

    :param error: what happened.
    :raises AirflowFailException: always, with the message of ``error``.
    """
    raise AirflowFailException(str(error)) from error
