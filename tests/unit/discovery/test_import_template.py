from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery.import_template import (
    IDENTITY_COLUMNS,
    IDENTITY_PAIR,
    NUMERIC_COLUMNS,
    TEMPLATE_COLUMNS,
    ImportFileError,
    check_column_mapping,
    compile_row_check,
    compile_selection,
    quote,
)
from airflow_provider_ads.emulator.import_rows import read_import_file


def problems(**cells: str) -> list[tuple[str, str]]:
    """What is wrong with a row; ``__`` in a keyword stands for a dot."""
    row = {column.replace("__", "."): cell for column, cell in cells.items()}
    return [(problem.column, problem.reason) for problem in compile_row_check(list(row))(list(row.values()))]


def test_the_template_has_34_columns() -> None:
    assert len(TEMPLATE_COLUMNS) == len(set(TEMPLATE_COLUMNS)) == 34
    assert {*IDENTITY_COLUMNS, *IDENTITY_PAIR, *NUMERIC_COLUMNS} < set(TEMPLATE_COLUMNS)


class TestIdentity:
    @pytest.mark.parametrize("column", IDENTITY_COLUMNS)
    def test_each_of_these_columns_is_one(self, column: str) -> None:
        assert problems(**{column: "x"}) == []

    def test_the_pair_is_one(self) -> None:
        assert problems(VMware__MoRefId="vm-1", VMware__VCenterId="vc-1") == []

    def test_half_a_pair_is_none(self) -> None:
        ((column, reason),) = problems(HostName="", VMware__MoRefId="vm-1", VMware__VCenterId=" ")
        assert column == ""
        assert reason == (
            "The row needs one of ExternalId, IPAddress, MACAddress, HostName, or VMware.MoRefId with VMware.VCenterId."
        )

    def test_blanks_are_none(self) -> None:
        assert problems(ExternalId=" ", HostName="\t\n")

    def test_any_one_will_do(self) -> None:
        assert problems(ExternalId="", IPAddress=" ", HostName="web1") == []

    @pytest.mark.parametrize("columns", [[], ["SMBiosId", "ServerId"], ["VMware.MoRefId", "OS.Name"]])
    def test_columns_without_any_are_refused_at_once(self, columns: list[str]) -> None:
        with pytest.raises(ImportFileError, match=r"No column tells which server .*column_mapping.*'Server Name'"):
            compile_row_check(columns)


class TestNumbers:
    @pytest.mark.parametrize(
        "cell", ["", " ", "0", "4", "12.5", ".5", "4.", "+4", " 4 ", "4e3", "1.5E+05", "-0.0", "101"]
    )
    def test_taken(self, cell: str) -> None:
        assert problems(ExternalId="a", **dict.fromkeys(NUMERIC_COLUMNS, cell)) == []

    @pytest.mark.parametrize(
        "cell",
        [
            "four",
            "4 GB",
            "1,024",
            "1_024",
            "nan",
            "inf",
            "0x4",
            "-",
            ".",
            "1.2.3",
            "4e",
            "4 4",
            "4\0",
            "٤",
            "-4",
            " -0.5",
        ],
    )
    def test_refused(self, cell: str) -> None:
        assert problems(ExternalId="a", **dict.fromkeys(NUMERIC_COLUMNS, cell)) == [
            (column, f"{cell!r} is not a number of 0 or more.") for column in NUMERIC_COLUMNS
        ]

    def test_columns_with_other_text_are_not_checked(self) -> None:
        assert problems(ExternalId="a", OS__Version="four", SMBiosId="-1", ApplicationWave="x") == []


class TestTags:
    @pytest.mark.parametrize(
        "cell",
        ["", "  ", "env:prod", "env:prod, owner:the team", " env : prod ,a:b", "url:https://x.example:80/", "ä:ö"],
    )
    def test_taken(self, cell: str) -> None:
        assert problems(ExternalId="a", Tags=cell) == []

    @pytest.mark.parametrize(
        ("cell", "wrong"),
        [("prod", "prod"), (":prod", ":prod"), ("env:", "env:"), ("a:b, c", "c"), ("a:b,", ""), ("a:b; c:d, e", "e")],
    )
    def test_refused(self, cell: str, wrong: str) -> None:
        assert problems(ExternalId="a", Tags=cell) == [
            ("Tags", f"{wrong!r} is not of the form name:value; commas separate tags.")
        ]

    def test_a_server_has_at_most_30(self) -> None:
        tags = [f"name{number}:value" for number in range(31)]
        assert problems(ExternalId="a", Tags=", ".join(tags[:30])) == []
        assert problems(ExternalId="a", Tags=", ".join(tags)) == [("Tags", "There are 31 tags; a server can have 30.")]


def test_everything_that_is_wrong_is_told() -> None:
    found = problems(HostName="", CPU__NumberOfCores="x", RAM__TotalSizeInMB="4", Tags="y")
    assert [column for column, _ in found] == ["", "CPU.NumberOfCores", "Tags"]


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
def test_the_emulator_refuses_the_same_rows(cells: list[str]) -> None:
    columns = ["HostName", *IDENTITY_PAIR, "CPU.NumberOfCores", "CPU.UsagePct.Max"]
    content = io.StringIO(newline="")
    csv.writer(content).writerows([columns, cells])
    import_file = read_import_file(content.getvalue().encode())
    assert import_file is not None
    (row,) = import_file.rows
    # How large a number may be, only the service knows.
    errors = [e for e in row.errors if not (e.message.endswith("out of range.") and float(row.cells[e.column]) > 0)]
    assert bool(compile_row_check(columns)(cells)) is bool(errors)


class TestColumnMapping:
    def test_what_can_be_applied_is_returned(self) -> None:
        mapping = {"Server Name": "HostName", "Owner": None, "HostName": "VMware.VMName"}
        assert check_column_mapping(mapping) == mapping
        assert check_column_mapping(None) == {}

    @pytest.mark.parametrize(
        ("mapping", "message"),
        [
            ([("Server Name", "HostName")], "must be a dict such as"),
            ({1: "HostName"}, "source's headers, which are texts; got 1"),
            ({"Server Name": "Hostname"}, r"'Server Name' to 'Hostname', which .*Did you mean 'HostName'\?"),
            ({"Server Name": "???"}, r"'\?\?\?', which .* Its columns are ExternalId, SMBiosId, .*, ServerId\."),
            ({"Server Name": ["HostName"]}, r"\['HostName'\]"),
            ({"A": "HostName", "B": "HostName"}, "both 'A' and 'B' to 'HostName'"),
        ],
    )
    def test_what_cannot_is_refused(self, mapping: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            check_column_mapping(mapping)


@pytest.mark.parametrize(("places", "selected"), [([], []), ([2], ["c"]), ([2, 0], ["c", "a"])])
def test_selection(places: list[int], selected: list[str]) -> None:
    assert list(compile_selection(places)(["a", "b", "c"])) == selected


def test_quoted_values_are_short() -> None:
    assert quote("a\n") == r"'a\n'"
    assert len(quote("x" * 1_000_000)) < 150
