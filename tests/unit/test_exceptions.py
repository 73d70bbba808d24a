from __future__ import annotations

import pickle
import ssl
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
    UnknownRegionError,
)

from airflow_provider_ads.discovery.limits import SERVICE_REGIONS
from airflow_provider_ads.emulator.errors import HTTP_STATUS
from airflow_provider_ads.exceptions import (
    AdsCallError,
    AdsError,
    DeletionWaitTimeout,
    ImportDeletionError,
    ImportNotSeen,
    ImportOutcomeError,
    ImportTaskNotFound,
    ImportWaitTimeout,
    call_error,
    deletion_error,
    fail_without_retry,
)
from airflow_provider_ads.version_compat import AirflowFailException

ID = "import-task-" + "0" * 32


def client_error(code: str, status: int = 400, operation: str = "DescribeImportTasks") -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "what AWS says"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "request-1"},
    }
    return ClientError(response, operation)


def explain(error: ClientError | BotoCoreError) -> AdsCallError:
    return call_error(error, "DescribeImportTasks", "cmdb", "us-west-2", "my_aws")


class TestTree:
    @pytest.mark.parametrize(
        "error",
        [
            ImportOutcomeError("it failed", [{"importTaskId": ID, "status": "IMPORT_FAILED"}], try_again=True),
            AdsCallError("refused", "AuthorizationErrorException", import_task_id=ID, transient=True),
            ImportTaskNotFound(ID, "us-west-2"),
            ImportWaitTimeout([{"importTaskId": ID, "status": "IMPORT_IN_PROGRESS"}], "throttled"),
            ImportNotSeen("cmdb", "us-west-2", None),
            DeletionWaitTimeout([{"importTaskId": ID, "status": "DELETE_IN_PROGRESS"}], None),
            ImportDeletionError("refused", {ID: "NOT_FOUND"}),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_errors_survive_pickling_whole(self, error: AdsError) -> None:
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))

    @pytest.mark.parametrize(
        "error",
        [
            ImportTaskNotFound(ID, "us-west-2"),
            ImportWaitTimeout([], None),
            ImportNotSeen("cmdb", "us-west-2", None),
            DeletionWaitTimeout([], None),
        ],
    )
    def test_no_verdict_is_a_call_error(self, error: AdsError) -> None:
        assert isinstance(error, AdsCallError)

    def test_none_is_an_error_of_airflow(self) -> None:
        # Airflow skips its own exceptions under soft_fail when a sensor was deferred.
        assert AdsError.__mro__ == (AdsError, Exception, BaseException, object)

    def test_fail_without_retry_keeps_message_and_cause(self) -> None:
        cause = ImportOutcomeError("it failed", [], try_again=False)
        with pytest.raises(AirflowFailException, match="it failed") as failure:
            fail_without_retry(cause)
        assert failure.value.__cause__ is cause


class TestCallError:
    @pytest.mark.parametrize(
        ("service", "operations", "number_of_codes"),
        [
            ("discovery", ("StartImportTask", "DescribeImportTasks", "BatchDeleteImportData"), 6),
            ("migrationhub-config", ("GetHomeRegion",), 5),
        ],
    )
    def test_every_error_of_the_operations_has_advice(
        self, service: Any, operations: tuple[str, ...], number_of_codes: int
    ) -> None:
        model: Any = botocore.session.get_session().get_service_model(service)
        codes = {shape.name for operation in operations for shape in model.operation_model(operation).error_shapes}
        assert len(codes) == number_of_codes
        for code in codes:
            assert "See the message of AWS" not in str(explain(client_error(code, HTTP_STATUS[code])))

    def test_message_says_what_failed_where_why_and_what_next(self) -> None:
        error = explain(client_error("AuthorizationErrorException"))
        assert str(error) == (
            "DescribeImportTasks for cmdb in us-west-2 with aws_conn_id='my_aws' failed with "
            "AuthorizationErrorException: what AWS says (request id request-1). The credentials may not call "
            "discovery:DescribeImportTasks. Allow the action in the IAM policy of the user or role behind aws_conn_id."
        )
        assert error.code == "AuthorizationErrorException"
        assert not error.transient

    def test_a_download_that_broke_off_may_go_well_later(self) -> None:
        error = explain(IncompleteReadError(actual_bytes=1, expected_bytes=2))
        assert error.transient
        assert str(error).endswith("This may pass by itself.")

    @pytest.mark.parametrize(
        ("code", "operation", "action"),
        [
            ("AccessDenied", "AssumeRole", "sts:AssumeRole"),
            ("AccessDenied", "AssumeRoleWithSAML", "sts:AssumeRoleWithSAML"),
            ("AccessDenied", "AssumeRoleWithWebIdentity", "sts:AssumeRoleWithWebIdentity"),
            ("AccessDenied", "GetCallerIdentity", "sts:GetCallerIdentity"),
            ("AccessDeniedException", "GetHomeRegion", "mgh:GetHomeRegion"),
            ("AuthorizationErrorException", "StartImportTask", "discovery:StartImportTask"),
        ],
    )
    def test_the_action_that_was_denied_is_named_as_in_iam(self, code: str, operation: str, action: str) -> None:
        assert f"may not call {action}. Allow the action" in str(explain(client_error(code, 403, operation)))

    @pytest.mark.parametrize(
        ("code", "next_step"),
        [
            ("InvalidClientTokenId", "Correct the access key"),
            ("UnrecognizedClientException", "Correct the access key"),
            ("IncompleteSignature", "Correct the access key"),
            ("IncompleteSignatureException", "Correct the access key"),
            ("MissingAuthenticationToken", "Give aws_conn_id an access key or a role"),
            ("MissingAuthenticationTokenException", "Give aws_conn_id an access key or a role"),
        ],
    )
    def test_credentials_are_advised_on_as_each_protocol_spells_it(self, code: str, next_step: str) -> None:
        assert next_step in str(explain(client_error(code)))

    def test_a_profile_that_the_machine_does_not_have_is_corrected_in_the_connection(self) -> None:
        assert "Correct profile_name in aws_conn_id" in str(explain(ProfileNotFound(profile="nope")))

    def test_a_region_that_does_not_exist_leads_to_those_that_do(self) -> None:
        error = UnknownRegionError(region_name="mars-north-1", error_msg="No partition found")
        assert f"the service is offered in {', '.join(SERVICE_REGIONS)}." in str(explain(error))

    @pytest.mark.parametrize("code", ["HomeRegionNotSetException", "InvalidInputException"])
    def test_both_codes_of_a_wrong_region_lead_to_the_home_region(self, code: str) -> None:
        assert "home region" in str(explain(client_error(code)))

    @pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
    def test_a_wrong_signature_leads_to_the_secret_and_the_clock(self, code: str) -> None:
        message = str(explain(client_error(code, 403)))
        assert "Correct the secret" in message
        assert "clock" in message

    @pytest.mark.parametrize("code", ["403", "AccessDenied"])
    def test_a_file_that_s3_denies_may_be_missing_or_denied_by_its_bucket(self, code: str) -> None:
        message = str(explain(client_error(code, 403, "GetObject")))
        assert "may not call s3:GetObject. Allow the action" in message
        assert "policies of the bucket and of its key. Without s3:ListBucket" in message
        assert "s3:ListBucket" not in str(explain(client_error(code, 403, "PutObject")))

    def test_an_unknown_code_is_quoted_with_region_and_request_id_and_leads_to_them(self) -> None:
        message = str(explain(client_error("NewException")))
        assert all(part in message for part in ("NewException", "us-west-2", "request-1", "what AWS says"))
        assert "no advice for this code. See the message of AWS" in message

    @pytest.mark.parametrize(
        "error",
        [
            client_error("ThrottlingException"),
            client_error("TooManyRequestsException"),
            client_error("LimitExceededException"),
            client_error("ServerInternalErrorException", 500),
            client_error("ServiceUnavailable", 503),
            client_error("InternalFailure", 500),
            EndpointConnectionError(endpoint_url="http://x"),
            ConnectTimeoutError(endpoint_url="http://x"),
            ReadTimeoutError(endpoint_url="http://x"),
            ConnectionClosedError(endpoint_url="http://x"),
        ],
        ids=str,
    )
    def test_what_may_pass_is_transient(self, error: ClientError | BotoCoreError) -> None:
        assert explain(error).transient

    @pytest.mark.parametrize(
        "error",
        [
            client_error("AuthorizationErrorException"),
            client_error("HomeRegionNotSetException"),
            client_error("InvalidParameterValueException"),
            client_error("ExpiredTokenException"),
            client_error("SomethingNew"),
            NoCredentialsError(),
            SSLError(endpoint_url="http://x", error=OSError("certificate")),
            HTTPClientError(error=ssl.SSLError("no certificate in the bundle")),
            HTTPClientError(error=FileNotFoundError("no bundle")),
            HTTPClientError(error=PermissionError("bundle of somebody else")),
        ],
        ids=str,
    )
    def test_what_will_not_pass_is_not(self, error: ClientError | BotoCoreError) -> None:
        assert not explain(error).transient


class TestDeletionError:
    def test_every_code_of_the_service_has_advice(self) -> None:
        model: Any = botocore.session.get_session().get_service_model("discovery")
        for code in model.shape_for("BatchDeleteImportDataErrorCode").enum:
            error = deletion_error({ID: {"errorCode": code, "errorDescription": "what AWS says."}}, "us-west-2")
            assert f"Not deleted in us-west-2: {ID} ({code}: what AWS says). " in str(error)
            assert "See the message of AWS" not in str(error)
            assert error.errors == {ID: code}

    def test_a_code_of_the_future_is_quoted(self) -> None:
        error = deletion_error({ID: {"errorCode": "ON_HOLD"}, ID[:-1] + "1": {}}, "us-west-2")
        assert str(error) == (
            f"Not deleted in us-west-2: {ID} (ON_HOLD); {ID[:-1]}1 (no code). See the message of AWS."
        )
