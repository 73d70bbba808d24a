from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_ads.emulator.import_files import read_import_file
from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.rows import RowConverter
from airflow_provider_ads.inventory.table import Record, SuspectCell
from airflow_provider_ads.inventory.template import IDENTITY_COLUMNS, IDENTITY_PAIR, NUMERIC_COLUMNS, ImportFileError


def convert(
    header: Sequence[str], *rows: list[str], **options: Any
) -> tuple[list[list[str]], list[tuple[int, str]], RowConverter]:
    """Return the converted rows, the lines and reasons of the others, and the converter."""
    converter = RowConverter(header, PrepareOptions(**options))
    records = [Record(line, cells) for line, cells in enumerate(rows, 2)]
    _, columns, invalid = converter.convert(records)
    return list(map(list, zip(*columns, strict=True))), [(record.line, reason) for record, reason in invalid], converter


class TestIdentity:
    @pytest.mark.parametrize(
        "row",
        [
            {"ExternalId": "x"},
            {"IPAddress": "10.0.0.1"},
            {"MACAddress": "00:50:56:AB:CD:EF"},
            {"HostName": "x"},
            dict.fromkeys(IDENTITY_PAIR, "x"),
            {"ExternalId": "", "IPAddress": " ", "HostName": "web1"},
        ],
    )
    def test_one_identity_is_enough(self, row: dict[str, str]) -> None:
        rows, invalid, _ = convert(list(row), list(row.values()))
        assert (rows, invalid) == ([[cell.strip() for cell in row.values()]], [])

    @pytest.mark.parametrize("cell", ["", "\t\n", "N/A", "-", "unknown", "#REF!"])
    def test_neither_a_placeholder_nor_half_of_the_pair_is_enough(self, cell: str) -> None:
        rows, invalid, _ = convert(["HostName", *IDENTITY_PAIR], [cell, "vm-1", cell])
        reason = (
            "The row needs one of ExternalId, IPAddress, MACAddress, HostName, or VMware.MoRefId with VMware.VCenterId."
        )
        assert (rows, invalid) == ([], [(2, reason)])

    @pytest.mark.parametrize("columns", [[], ["SMBiosId", "ServerId"], ["VMware.MoRefId", "OS.Name"]])
    def test_columns_without_an_identity_are_refused(self, columns: list[str]) -> None:
        with pytest.raises(
            ImportFileError, match=r"(?s)No column identifies the servers.*column_mapping, for example:\n    \""
        ):
            convert(columns)

    def test_the_error_about_a_list_of_virtual_machines_contains_a_line_that_identifies_them(self) -> None:
        header = ["VMName", "ComputerName", "MemoryAssigned"]
        with pytest.raises(ImportFileError, match=r'\n    "VMName": "HostName",') as caught:
            convert(header, column_mapping={"MemoryAssigned": "RAM.TotalSizeInMB"})
        assert "VMware.VMName" not in str(caught.value)

    def test_half_of_the_pair_does_not_identify_virtual_machines(self) -> None:
        with pytest.raises(ImportFileError, match=r'\n    "VM Name": "HostName",'):
            convert(["VM Name", "vCenter UUID"])


class TestWidth:
    def test_missing_last_cells_count_as_empty_and_are_counted(self) -> None:
        rows, invalid, converter = convert(["HostName", "IPAddress", "OS.Name"], ["web1", "10.0.0.1"])
        assert (rows, invalid, converter.rows_short) == ([["web1", "10.0.0.1", ""]], [], 1)

    def test_extra_empty_cells_are_ignored(self) -> None:
        rows, invalid, converter = convert(["HostName"], ["web1", "", " "])
        assert (rows, invalid, converter.rows_short) == ([["web1"]], [], 0)

    def test_extra_filled_cells_are_invalid(self) -> None:
        rows, ((line, reason),), _ = convert(["HostName"], ["web1"], ["web2", "", "x"])
        assert (rows, line) == ([["web1"]], 3)
        assert reason.startswith("The row has 3 cells, but the header has 1. Put quotes around")

    def test_the_end_of_a_broken_line_is_invalid(self) -> None:
        rows, ((line, reason),), _ = convert(["HostName", "OS.Name"], ["old", "Linux"], ["see ticket 4"])
        assert (rows, line) == ([["old", "Linux"]], 3)
        assert reason.startswith(
            "Only one of 2 cells is filled, as if a line break in a cell had ended the row before."
        )

    def test_a_record_that_could_not_be_read_is_invalid(self) -> None:
        converter = RowConverter(["HostName"], PrepareOptions())
        record = Record(2, [], "x", "A cell is too long.")
        assert converter.convert([record]) == ([], [[]], [(record, "A cell is too long.")])


def test_a_suspect_cell_is_invalid_where_it_matters() -> None:
    date, digits = SuspectCell("2026-03-01", "is a date", True), SuspectCell("12345678901234567", "is rounded", False)
    rows, invalid, _ = convert(
        ["HostName", "OS.Name"], ["web1", date], [date, "1"], ["web3", digits], ["web4", "12345678901234567"]
    )
    assert rows == [["web1", "2026-03-01"], ["web4", "12345678901234567"]]
    assert invalid == [(3, "HostName: '2026-03-01' is a date."), (4, "OS.Name: '12345678901234567' is rounded.")]


@pytest.mark.parametrize("column", ["OS.Version", "VMware.VMName"])
def test_a_date_is_not_a_version_and_not_a_name(column: str) -> None:
    _, invalid, _ = convert(["HostName", column], ["web1", SuspectCell("2026-04-22", "is a date", True)])
    assert invalid == [(2, f"{column}: '2026-04-22' is a date.")]


def test_every_problem_of_a_row_is_a_reason() -> None:
    header = ["HostName", "CPU.NumberOfCores", "RAM.TotalSizeInMB", "Labels"]
    _, ((_, reason),), _ = convert(header, ["", "x", "4", "y"], column_mapping={"Labels": "Tags"})
    assert reason == (
        "CPU.NumberOfCores: 'x' is not a number of 0 or more. 'Labels' (Tags): 'y' does not have the form name:value. "
        "Commas separate tags. The row needs one of ExternalId, IPAddress, MACAddress, HostName, or VMware.MoRefId "
        "with VMware.VCenterId."
    )


def test_numbers_of_all_columns_are_read_in_the_same_way() -> None:
    header = ["HostName", "RAM.TotalSizeInMB", "CPU.UsagePct.Avg"]
    *_, converter = convert(header, ["web1", "16.384", "12,5"], ["web2", "8.192", "3,5"])
    assert [question.answers for question in converter.questions()] == [('thousands=".",',)]
    _, invalid, converter = convert(header, ["web1", "16.384", "12,5"], thousands=".")
    assert (invalid, converter.questions()) == ([], [])


def test_na_values_need_headers_of_the_file() -> None:
    with pytest.raises(ImportFileError, match=r"na_values contains headers that the file does not have: 'Nam'"):
        convert(["HostName"], na_values={"Nam": ["x"]})


@pytest.mark.parametrize(
    ("column", "placeholder"),
    [
        ("IPAddress", "10.0.0.1"),
        ("IPAddress", "10.0.0.1/24, 10.0.0.2"),
        ("MACAddress", "00:50:56:AB:CD:EF"),
        ("CPU.NumberOfCores", "9999"),
        ("Tags", "owner:none"),
    ],
)
def test_na_values_can_be_correct_cells(column: str, placeholder: str) -> None:
    rows, _, _ = convert(["HostName", column], ["web1", placeholder], na_values=[placeholder])
    assert rows == [["web1", ""]]


def test_rows_are_filtered_before_they_are_checked() -> None:
    rows, invalid, converter = convert(
        ["HostName", "Class"], ["web1", "Server"], ["", "Service"], row_filter={"Class": ["Server"]}
    )
    assert (rows, invalid, converter.filter.filtered) == ([["web1"]], [], {"Class": 1})


class TestTags:
    HEADER = ("HostName", "Labels", "Environment")
    MAPPING = {"Labels": "Tags", "Environment": {"column": "Tags", "tag": "environment"}}

    def test_several_headers_and_added_tags_are_joined(self) -> None:
        rows, invalid, converter = convert(
            self.HEADER,
            ["web1", "a:1", "prod"],
            ["web2", "import:own", ""],
            column_mapping=self.MAPPING,
            tags={"import": "monday"},
        )
        assert (rows, invalid) == (
            [["web1", "a:1, environment:prod, import:monday"], ["web2", "import:own"]],
            [],
        )
        assert converter.warnings() == ["tags: 1 rows keep a value of their own for one of the names."]

    def test_a_column_for_added_tags_is_added(self) -> None:
        rows, _, converter = convert(["HostName"], ["web1"], tags={"import": "monday"})
        assert converter.template_columns == ("HostName", "Tags")
        assert rows == [["web1", "import:monday"]]

    def test_tags_from_all_sources_are_at_most_30(self) -> None:
        cells = [", ".join(f"t{number}:x" for number in range(count)) for count in (29, 30)]
        rows, invalid, _ = convert(
            ["HostName", "Tags"], ["web1", cells[0]], ["web2", cells[1]], tags={"import": "monday"}
        )
        assert [row[0] for row in rows] == ["web1"]
        assert invalid == [(3, "The server has 31 tags; the maximum is 30.")]


@pytest.mark.parametrize(("servers", "is_warning"), [(9, True), (8, False)])
def test_a_few_rows_with_only_one_cell_are_a_warning(servers: int, is_warning: bool) -> None:
    rows = [["Zürich", "", ""], *([f"web{n}", "", "note"] for n in range(servers))]
    converted, _, converter = convert(["HostName", "IPAddress", "Comment"], *rows)
    assert len(converted) == servers + 1
    assert (
        converter.warnings()
        == ["Rows with only one cell, which might be headings instead of servers: 1, such as 'Zürich'."] * is_warning
    )


def test_ignored_addresses_are_a_warning() -> None:
    *_, converter = convert(["HostName", "IPAddress"], ["web1", "127.0.0.1"], ["web2", "127.0.0.1;10.0.0.1"])
    assert converter.warnings() == ["IPAddress: addresses that identify no server were ignored, such as 127.0.0.1."]


def test_the_report_has_the_figures_of_each_header() -> None:
    *_, converter = convert(
        ["HostName", "RAM"],
        ["web1", "4"],
        ["web2", "16"],
        ["n/a", "x"],
        ["web4", ""],
        column_mapping={"RAM": {"column": "RAM.TotalSizeInMB", "unit": "GB"}},
    )
    name, ram = converter.reports()
    assert (name.header, name.column, name.converted, name.empty, name.invalid) == ("HostName", "HostName", 1, 1, 0)
    assert (ram.unit, ram.converted, ram.empty, ram.invalid) == ("GB", 2, 1, 1)
    assert (ram.minimum, ram.median, ram.maximum) == (4096, 10240, 16384)


@given(
    cells=st.lists(
        st.one_of(
            st.sampled_from(["", " ", "4", "-4", "1e5", "+.5", "-0", "x", "4\n", "٤"]),
            st.text("0123456789.+-eE ", max_size=6),
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
        ),
        min_size=5,
        max_size=5,
    )
)
@example(["\x1c", "", "", "", ""])
@settings(deadline=None)
def test_the_emulator_accepts_what_is_written(cells: list[str]) -> None:
    columns = ["HostName", *IDENTITY_PAIR, "CPU.NumberOfCores", "CPU.UsagePct.Max"]
    rows, invalid, _ = convert(columns, cells)
    content = io.StringIO(newline="")
    csv.writer(content).writerows([columns, *rows])
    import_file = read_import_file(content.getvalue().encode())
    assert import_file is not None
    assert len(rows) + len(invalid) == 1
    # The emulator assumes a maximum for numbers, which AWS does not document.
    errors = [error for row in import_file.rows for error in row.errors if not error.message.endswith("out of range.")]
    assert errors == []


@pytest.mark.parametrize("count", [1, 499, 2_000])
def test_rows_that_stay_unchanged_are_those_of_the_source(count: int) -> None:
    header = [*IDENTITY_COLUMNS, *NUMERIC_COLUMNS, "Applications", "Tags"]
    identities = ["id-1", "10.0.0.1", "00:50:56:AB:CD:EF", "web1"]
    row = [*identities, *["1024"] * len(NUMERIC_COLUMNS), "CRM, ERP", "a:b, c:d"]
    row[header.index("ExternalId")] = ""
    rows, invalid, converter = convert(header, *[list(row)] * count)
    assert (rows, invalid, converter.questions()) == ([row] * count, [], [])
    assert sum(report.converted for report in converter.reports()) == 0
