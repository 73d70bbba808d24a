from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_ads.emulator.import_files import Row, read_import_file
from airflow_provider_ads.emulator.quotas import DeletionQuota, exceeded_quota

RECORDS = "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
SERVERS = "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED"


def rows(*lines: str) -> tuple[Row, ...]:
    header = "ExternalId,IPAddress,MACAddress,HostName,VMware.MoRefId,VMware.VCenterId,OS.Name,ServerId"
    import_file = read_import_file("\n".join((header, *lines)).encode())
    assert import_file is not None
    return import_file.rows


@pytest.mark.parametrize(
    "lines",
    [
        ("a,10.0.0.1,,web1", "a,10.0.0.2,,web2"),
        (",10.0.0.1,m1,web1,vm-1,vc-1,Linux", ",10.0.0.1,m1,web1,vm-1,vc-1,BSD"),
        (",,,web1", ",,,WEB1"),
        ("a,,,web1", "b,,,web1"),
        ("a,,,web1", ",,,web1"),
        ("a,,,,,,,d-server-1", "b,,,,,,,d-server-1"),
        (",,,web1,,,,d-server-1", ",,,web2,,,,d-server-1"),
        (",,,web1,,,,d-server-1", ",,,web1"),
        ("a,,,web1", "a,,,web2", ",,,web1", ",,,web2"),
    ],
)
def test_rows_with_an_equal_key_are_one_server(lines: tuple[str, ...]) -> None:
    assert exceeded_quota(rows(*lines), record_quota=9, server_quota=1) is None


@pytest.mark.parametrize(
    "lines",
    [
        ("a", "b"),
        ("web1", ",,,web1"),
        ("a,,,,,,,b", "b,,,,,,,c"),
        (",10.0.0.1", ",10.0.0.2"),
        (",,,,vm-1,vc-1", ",,,,vm-1,vc-2"),
        (",10.0.0.1,,web1", ",10.0.0.1,,web2"),
    ],
)
def test_rows_without_an_equal_key_are_two_servers(lines: tuple[str, ...]) -> None:
    assert exceeded_quota(rows(*lines), record_quota=9, server_quota=1) == SERVERS


def test_each_row_of_a_known_server_is_a_record() -> None:
    assert exceeded_quota(rows("a", "a"), record_quota=2, server_quota=1) is None
    assert exceeded_quota(rows("a", "a", "a"), record_quota=2, server_quota=1) == RECORDS


def test_records_are_checked_before_servers() -> None:
    assert exceeded_quota(rows("a", "b"), record_quota=1, server_quota=1) == RECORDS


class TestDeletionQuota:
    NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def test_only_deletions_that_fit_use_the_quota(self) -> None:
        quota = DeletionQuota(3)
        assert [quota.use(records, self.NOON) for records in (2, 2, 1, 1, 0)] == [True, False, True, False, True]

    def test_the_quota_is_reset_at_midnight(self) -> None:
        quota = DeletionQuota(1)
        times = [datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)]
        assert [quota.use(1, now) for now in (self.NOON, *times)] == [True, False, True]
