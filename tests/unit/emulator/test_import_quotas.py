from __future__ import annotations

import pytest

from airflow_provider_ads.emulator.import_quotas import ImportQuotas
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
    assert ImportQuotas(record_quota=9, server_quota=1).add(rows(first, second)) is None


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
    assert ImportQuotas(record_quota=9, server_quota=1).add(rows(first, second)) == SERVERS


def test_rows_of_a_known_server_are_records_again() -> None:
    quotas = ImportQuotas(record_quota=2, server_quota=1)
    assert [quotas.add(rows("a")) for _ in range(3)] == [None, None, RECORDS]


def test_import_over_a_quota_adds_nothing() -> None:
    quotas = ImportQuotas(record_quota=3, server_quota=2)
    assert quotas.add(rows("a", "b", "c", "d")) == RECORDS
    assert quotas.add(rows("a", "b", "c")) == SERVERS
    assert quotas.add(rows("a", "b")) is None


def test_server_keeps_all_its_keys() -> None:
    quotas = ImportQuotas(record_quota=9, server_quota=1)
    assert quotas.add(rows("a,,,web1")) is None
    assert quotas.add(rows("a,,,web2")) is None
    assert quotas.add(rows(",,,web1", ",,,web2")) is None
