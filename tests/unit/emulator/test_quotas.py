from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_ads.emulator.import_files import Row, read_import_file
from airflow_provider_ads.emulator.quotas import DeletionQuota, Holdings, Quotas, apply_quotas

RECORDS = "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
SERVERS = "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED"


def rows(*lines: str) -> tuple[Row, ...]:
    header = "ExternalId,IPAddress,MACAddress,HostName,VMware.MoRefId,VMware.VCenterId,OS.Name,ServerId"
    import_file = read_import_file("\n".join((header, *lines)).encode())
    assert import_file is not None
    return import_file.rows


def status(lines: tuple[str, ...], *, records: int = 9, servers: int = 1) -> str | None:
    return apply_quotas((), rows(*lines), Quotas(records=records, servers=servers))[1]


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
    assert status(lines) is None


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
    assert status(lines) == SERVERS


def test_each_row_of_a_known_server_is_a_record() -> None:
    assert status(("a", "a"), records=2) is None
    assert status(("a", "a", "a"), records=2) == RECORDS


def test_records_are_checked_before_servers() -> None:
    assert status(("a", "b"), records=1) == RECORDS


class TestApplicationsAndTags:
    def errors(self, held: str, content: str, **quotas: int) -> list[list[tuple[str, str]]]:
        """Return the errors of each row that is imported after the rows that are held."""
        first, second = (read_import_file(f"ExternalId,Applications,Tags\n{each}".encode()) for each in (held, content))
        assert first is not None
        assert second is not None
        checked, exceeded = apply_quotas(first.rows, second.rows, Quotas(**quotas))
        assert exceeded is None
        return [[(error.column, error.message) for error in row.errors] for row in checked]

    def test_a_row_that_exceeds_the_quota_of_applications_fails(self) -> None:
        errors = self.errors("a,crm\n", 'b,"crm,hr"\nc,shop\nd,hr\ne,\n', applications=2)
        assert errors == [[], [("Applications", "The account would have more than 2 applications.")], [], []]

    def test_a_row_that_exceeds_the_servers_of_an_application_fails(self) -> None:
        errors = self.errors("a,crm\na,crm\n", 'a,crm\nb,crm\nc,"crm,hr"\nc,hr\n', servers_per_application=2)
        assert errors == [[], [], [("Applications", "The application 'crm' would have more than 2 servers.")], []]

    def test_a_row_that_exceeds_the_tags_of_a_server_fails(self) -> None:
        errors = self.errors("a,,env:prod\n", 'a,,"env:test, tier:web"\na,,owner:me\nb,,owner:me\n', tags_per_server=2)
        assert errors == [[], [("Tags", "The server would have more than 2 tags.")], []]

    def test_a_failed_row_adds_nothing(self) -> None:
        content = 'a,"crm,hr","env:prod,tier:web"\nb,crm,env:prod\nc,,x:y\n'
        first, *others = self.errors("", content, applications=1, tags_per_server=1)
        assert [column for column, _ in first] == ["Applications", "Tags"]
        assert others == [[], []]

    def test_failed_rows_are_neither_records_nor_servers(self) -> None:
        assert self.errors("", "a,crm\nb,hr\n", applications=1, records=1, servers=1)[0] == []

    def test_the_defaults_are_the_quotas_of_aws(self) -> None:
        applications = "".join(f"{n},app {n}\n" for n in range(1_000))
        servers = "".join(f"{n},app 0\n" for n in range(400))
        tags = ",".join(f"tag {n}:x" for n in range(30))
        content = f'1000,app 1000\n400,app 0\n399,app 0\n0,,"{tags}"\n1,,"{tags},more:x"\n'
        errors = self.errors(applications + servers, content)
        assert [[column for column, _ in each] for each in errors] == [
            ["Applications"],
            ["Applications"],
            [],
            [],
            ["Tags"],
        ]


def test_the_usage_is_that_of_the_largest_application_and_server() -> None:
    lines = ("a,crm,x:1", "a,,y:1", "b,crm,x:1", 'c,"hr,crm",', "c,,")
    import_file = read_import_file("\n".join(("ExternalId,Applications,Tags", *lines)).encode())
    assert import_file is not None
    assert Holdings(import_file.rows).usage() == Quotas(
        records=5, servers=3, applications=2, servers_per_application=3, tags_per_server=2
    )
    assert Holdings(()).usage() == Quotas(
        records=0, servers=0, applications=0, servers_per_application=0, tags_per_server=0
    )


class TestDeletionQuota:
    NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def test_only_deletions_that_fit_use_the_quota(self) -> None:
        quota = DeletionQuota(3)
        assert [quota.use(records, self.NOON) for records in (2, 2, 1, 1, 0)] == [True, False, True, False, True]

    def test_the_quota_is_reset_at_midnight(self) -> None:
        quota = DeletionQuota(1)
        times = [datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)]
        assert [quota.use(1, now) for now in (self.NOON, *times)] == [True, False, True]

    def test_the_use_is_that_of_the_day(self) -> None:
        quota = DeletionQuota(9)
        quota.use(4, self.NOON)
        quota.use(6, self.NOON)
        assert quota.used(self.NOON) == 4
        assert quota.used(datetime(2026, 1, 2, tzinfo=UTC)) == 0
