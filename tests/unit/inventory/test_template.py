from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_ads.emulator.import_files import read_import_file
from airflow_provider_ads.inventory.template import (
    IDENTITY_COLUMNS,
    IDENTITY_PAIR,
    NUMERIC_COLUMNS,
    TEMPLATE_COLUMNS,
    ImportFileError,
    compile_row_check,
    select_cells,
)


def problems(**cells: str) -> list[tuple[str, str]]:
    """Return the problems of a row; ``__`` in a keyword stands for a dot."""
    row = {column.replace("__", "."): cell for column, cell in cells.items()}
    return [(problem.column, problem.reason) for problem in compile_row_check(list(row))(list(row.values()))]


def test_the_template_has_34_columns() -> None:
    assert len(TEMPLATE_COLUMNS) == len(set(TEMPLATE_COLUMNS)) == 34
    assert {*IDENTITY_COLUMNS, *IDENTITY_PAIR, *NUMERIC_COLUMNS} < set(TEMPLATE_COLUMNS)


class TestIdentity:
    @pytest.mark.parametrize(
        "row",
        [
            *({column: "x"} for column in IDENTITY_COLUMNS),
            dict.fromkeys(IDENTITY_PAIR, "x"),
            {"ExternalId": "", "IPAddress": " ", "HostName": "web1"},
        ],
    )
    def test_one_identity_is_enough(self, row: dict[str, str]) -> None:
        assert problems(**row) == []

    def test_neither_whitespace_nor_half_of_the_pair_is_enough(self) -> None:
        ((column, reason),) = problems(HostName="\t\n", VMware__MoRefId="vm-1", VMware__VCenterId=" ")
        assert column == ""
        assert reason == (
            "The row needs one of ExternalId, IPAddress, MACAddress, HostName, or VMware.MoRefId with VMware.VCenterId."
        )

    @pytest.mark.parametrize("columns", [[], ["SMBiosId", "ServerId"], ["VMware.MoRefId", "OS.Name"]])
    def test_columns_without_an_identity_are_refused(self, columns: list[str]) -> None:
        with pytest.raises(ImportFileError, match=r"No column identifies the servers.*column_mapping.*'Server Name'"):
            compile_row_check(columns)


class TestNumbers:
    @pytest.mark.parametrize(
        "cell", ["", " ", "0", "4", "12.5", ".5", "4.", "+4", " 4 ", "4e3", "1.5E+05", "-0.0", "101"]
    )
    def test_valid(self, cell: str) -> None:
        assert problems(ExternalId="a", **dict.fromkeys(NUMERIC_COLUMNS, cell)) == []

    @pytest.mark.parametrize(
        "cell", ["4 GB", "1,024", "1_024", "nan", "inf", "0x4", "-", ".", "1.2.3", "4e", "4\0", "٤", "-4", " -0.5"]
    )
    def test_invalid(self, cell: str) -> None:
        assert problems(ExternalId="a", **dict.fromkeys(NUMERIC_COLUMNS, cell)) == [
            (column, f"{cell!r} is not a number of 0 or more.") for column in NUMERIC_COLUMNS
        ]

    def test_other_columns_are_not_checked(self) -> None:
        assert problems(ExternalId="a", OS__Version="four", SMBiosId="-1", ApplicationWave="x") == []


class TestTags:
    @pytest.mark.parametrize(
        "cell",
        ["", "  ", "env:prod", "env:prod, owner:the team", " env : prod ,a:b", "url:https://x.example:80/", "ä:ö"],
    )
    def test_valid(self, cell: str) -> None:
        assert problems(ExternalId="a", Tags=cell) == []

    @pytest.mark.parametrize(
        ("cell", "wrong"),
        [("prod", "prod"), (":prod", ":prod"), ("env:", "env:"), ("a:b, c", "c"), ("a:b,", ""), ("a:b; c:d, e", "e")],
    )
    def test_invalid(self, cell: str, wrong: str) -> None:
        assert problems(ExternalId="a", Tags=cell) == [
            ("Tags", f"{wrong!r} does not have the form name:value. Commas separate tags.")
        ]

    def test_more_than_30_are_refused(self) -> None:
        tags = [f"name{number}:value" for number in range(31)]
        assert problems(ExternalId="a", Tags=", ".join(tags[:30])) == []
        assert problems(ExternalId="a", Tags=", ".join(tags)) == [
            ("Tags", "The server has 31 tags; the maximum is 30.")
        ]


def test_every_problem_of_a_row_is_returned() -> None:
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
    # The emulator assumes a maximum for numbers, which AWS does not document.
    errors = [e for e in row.errors if not (e.message.endswith("out of range.") and float(row.cells[e.column]) > 0)]
    assert bool(compile_row_check(columns)(cells)) is bool(errors)


@pytest.mark.parametrize(("places", "selected"), [([], []), ([2], ["c"]), ([2, 0], ["c", "a"])])
def test_selects_the_cells_at_these_places(places: list[int], selected: list[str]) -> None:
    assert list(select_cells(places)(["a", "b", "c"])) == selected
