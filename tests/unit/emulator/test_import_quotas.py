from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_ads.emulator.import_quotas import DeletionQuota, exceeded_quota
from airflow_provider_ads.emulator.import_rows import Row, read_import_file

RECORDS = "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
SERVERS = "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED"


def rows(*lines: str) -> tuple[Row, ...]:
    header = "ExternalId,IPAddress,MACAddress,HostName,VMware.MoRefId,VMware.VCenterId,OS.Name,ServerId"
    import_file = read_import_file("\n".join((header, *lines)).encode())
    assert import_file is not None
    return import_file.rows


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a,10.0.0.1,,web1", "a,10.0.0.2,,web2"),
        (",10.0.0.1,m1,web1,vm-1,vc-1,Linux", ",10.0.0.1,m1,web1,vm-1,vc-1,BSD"),
        (",,,web1", ",,,WEB1"),
        ("a,,,web1", "b,,,web1"),
        ("a,,,web1", ",,,web1"),
        ("a,,,,,,,d-server-1", "b,,,,,,,d-server-1"),
        (",,,web1,,,,d-server-1", ",,,web2,,,,d-server-1"),
        (",,,web1,,,,d-server-1", ",,,web1"),
    ],
)
def test_rows_of_one_server(first: str, second: str) -> None:
    assert exceeded_quota(rows(first, second), record_quota=9, server_quota=1) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a", "b"),
        ("web1", ",,,web1"),
        ("a,,,,,,,b", "b,,,,,,,c"),
        (",10.0.0.1", ",10.0.0.2"),
        (",,,,vm-1,vc-1", ",,,,vm-1,vc-2"),
        (",10.0.0.1,,web1", ",10.0.0.1,,web2"),
    ],
)
def test_rows_of_two_servers(first: str, second: str) -> None:
    assert exceeded_quota(rows(first, second), record_quota=9, server_quota=1) == SERVERS


def test_rows_of_a_known_server_are_records_again() -> None:
    assert exceeded_quota(rows("a", "a"), record_quota=2, server_quota=1) is None
    assert exceeded_quota(rows("a", "a", "a"), record_quota=2, server_quota=1) == RECORDS


def test_records_are_checked_first() -> None:
    assert exceeded_quota(rows("a", "b"), record_quota=1, server_quota=1) == RECORDS


def test_server_keeps_all_its_keys() -> None:
    known = rows("a,,,web1", "a,,,web2", ",,,web1", ",,,web2")
    assert exceeded_quota(known, record_quota=9, server_quota=1) is None


class TestDeletionQuota:
    NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def test_is_used_up_by_what_fits(self) -> None:
        quota = DeletionQuota(3)
        assert [quota.take(records, self.NOON) for records in (2, 2, 1, 1, 0)] == [True, False, True, False, True]

    def test_is_whole_again_at_midnight(self) -> None:
        quota = DeletionQuota(1)
        times = [datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)]
        assert [quota.take(1, now) for now in (self.NOON, *times)] == [True, False, True]
