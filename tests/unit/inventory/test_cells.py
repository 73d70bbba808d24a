from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ads.inventory.cells import (
    ExternalIdConverter,
    HostNameConverter,
    InvalidCell,
    MoRefIdConverter,
    NameConverter,
    TextConverter,
)
from airflow_provider_ads.inventory.columns import MappedColumn
from airflow_provider_ads.inventory.placeholders import PLACEHOLDERS


def text(placeholders: frozenset[str] = PLACEHOLDERS) -> TextConverter:
    return TextConverter(MappedColumn("Name", "HostName"), placeholders)


class TestText:
    @pytest.mark.parametrize(
        "cell",
        [
            "N/A",
            "-",
            "unknown",
            "UNKNOWN",
            "nUlL",
            "#REF!",
            "System.String[]",
            "None",
            "Err:502",
            " n/a ",
            "",
            "  ",
            "nan",
        ],
    )
    def test_placeholders_count_as_empty_in_any_case(self, cell: str) -> None:
        assert text().convert_all([cell, "web1"]) == ["", "web1"]

    @pytest.mark.parametrize("cell", ["n", "nanny", "unknown2", "web-", "N/A (old)", "-x", "#1", "none.example"])
    def test_a_placeholder_must_be_the_whole_cell(self, cell: str) -> None:
        assert text().convert_all([cell]) == [cell]

    def test_a_formula_for_text_is_its_text(self) -> None:
        assert text().convert_all(['="00123"', '="a ""b"" c"', "=1+1", '="n/a"']) == ["00123", 'a "b" c', "=1+1", ""]

    def test_a_text_that_has_lost_characters_is_invalid(self) -> None:
        valid, reason = text().convert_all(["münchen1", "m\ufffdnchen1"])
        assert valid == "münchen1"
        assert isinstance(reason, InvalidCell)
        assert "has lost characters when its encoding was changed. Export it again." in reason

    def test_whitespace_around_text_is_removed_and_counted(self) -> None:
        tested = text()
        assert tested.convert_all([" web1", "web2\n", "web 3"]) == ["web1", "web2", "web 3"]
        assert tested.converted == 2

    @pytest.mark.parametrize("space", ["\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\u3000"])
    def test_any_whitespace_is_removed(self, space: str) -> None:
        assert text().convert_all([f"{space}web1", f"web2{space}"]) == ["web1", "web2"]

    def test_cells_that_stayed_unchanged_stay_so_beside_others(self) -> None:
        tested = text()
        assert tested.convert_all(["web1", "web2"]) == ["web1", "web2"]
        assert tested.convert_all(["web2", " web1", "web1", "n/a"]) == ["web2", "web1", "web1", ""]
        assert tested.converted == 2

    @given(
        st.lists(
            st.text(
                st.one_of(st.sampled_from(' \t\n\0=-#"nNaA/?(<1u'), st.characters(exclude_categories=["Cs"])),
                max_size=8,
            ),
            min_size=1,
            max_size=20,
        )
    )
    def test_cells_together_are_converted_as_each_alone(self, cells: list[str]) -> None:
        assert list(text().convert_all(cells)) == [text().convert(cell) for cell in cells]


class TestDates:
    @pytest.mark.parametrize("kind", [NameConverter, ExternalIdConverter, HostNameConverter])
    @pytest.mark.parametrize(
        "cell", ["3-Mar", "01. Mrz", "1. Mai", "01-févr", "01-mars", "1-mrt", "01-sept.", "2026-03-01 00:00:00"]
    )
    def test_dates_of_spreadsheets_in_any_language_are_invalid(self, kind: type[TextConverter], cell: str) -> None:
        valid, reason = kind(MappedColumn("Name", "HostName"), PLACEHOLDERS).convert_all(["web1", cell])
        assert valid == "web1"
        assert reason == (f"{cell!r} is a date that a spreadsheet has made from text. Export the column as text again.")

    @pytest.mark.parametrize("column", ["VMware.VMName", "OS.Version"])
    def test_rounded_numbers_are_invalid(self, column: str) -> None:
        (reason,) = NameConverter(MappedColumn("x", column), PLACEHOLDERS).convert_all(["1,23E+11"])
        assert reason == "'1,23E+11' is a number that a spreadsheet has rounded. Export the column as text again."

    @pytest.mark.parametrize("cell", ["22.04", "10.0.17763", "8 SP3", "2026-03", "12-a", "rack 01. mrz"])
    def test_similar_versions_are_valid(self, cell: str) -> None:
        assert NameConverter(MappedColumn("v", "OS.Version"), PLACEHOLDERS).convert_all([cell]) == [cell]


def test_the_type_before_a_managed_object_reference_is_removed() -> None:
    tested = MoRefIdConverter(MappedColumn("Id", "VMware.MoRefId"), PLACEHOLDERS)
    assert tested.convert_all(["vm-100"]) == ["vm-100"]
    assert tested.convert_all(["VirtualMachine-vm-101", "vm-102", ' "x']) == [
        "vm-101",
        "vm-102",
        "' \"x' has a blank before its quote. Remove the blanks after delimiters.",
    ]


class TestHostNames:
    @pytest.mark.parametrize("cell", ["web1\nweb2", "web1,web2", "web1; web2", "web1\tweb2", "web1/web2", "1.23E+11"])
    def test_more_than_one_name_is_invalid(self, cell: str) -> None:
        valid, reason = HostNameConverter(MappedColumn("Name", "HostName"), PLACEHOLDERS).convert_all(["web1", cell])
        assert valid == "web1"
        assert isinstance(reason, InvalidCell)

    @pytest.mark.parametrize(
        ("cell", "reason"),
        [
            ("localhost", "identifies no server. Export the server's name."),
            ("Localhost.localdomain", "identifies no server. Export the server's name."),
            ("01-Mar", "is a date that a spreadsheet has made from text. Export the column as text again."),
        ],
    )
    def test_cells_that_are_not_names_are_invalid(self, cell: str, reason: str) -> None:
        tested = HostNameConverter(MappedColumn("Name", "HostName"), PLACEHOLDERS)
        assert tested.convert_all([cell]) == [f"{cell!r} {reason}"]

    @pytest.mark.parametrize("cell", ["localhost1", "web-01-mar", "File Server 1", "mar-01a", "01-web", "1. Server"])
    def test_similar_names_are_valid(self, cell: str) -> None:
        assert HostNameConverter(MappedColumn("Name", "HostName"), PLACEHOLDERS).convert_all([cell]) == [cell]


class TestExternalIds:
    @pytest.mark.parametrize("cell", ["1.23E+11", "1,23E+11", "1E+05", "4.2e+18"])
    def test_a_number_that_a_spreadsheet_has_rounded_is_invalid(self, cell: str) -> None:
        tested = ExternalIdConverter(MappedColumn("Id", "ExternalId"), PLACEHOLDERS)
        valid, reason = tested.convert_all(["SRV-1", cell])
        assert valid == "SRV-1"
        assert isinstance(reason, InvalidCell)
        assert reason == f"{cell!r} is a number that a spreadsheet has rounded. Export the column as text again."

    @pytest.mark.parametrize("cell", ["1E5", "123", "12E+1x", "E+11"])
    def test_other_identifiers_are_valid(self, cell: str) -> None:
        assert ExternalIdConverter(MappedColumn("Id", "ExternalId"), PLACEHOLDERS).convert_all([cell]) == [cell]

    @pytest.mark.parametrize(
        ("cell", "text"), [("'00123", "00123"), ("'web1'", "web1"), ("'n/a", ""), ("o'web", "o'web")]
    )
    def test_an_apostrophe_before_a_text_is_removed(self, cell: str, text: str) -> None:
        for tested in (
            ExternalIdConverter(MappedColumn("Id", "ExternalId"), PLACEHOLDERS),
            HostNameConverter(MappedColumn("Name", "HostName"), PLACEHOLDERS),
        ):
            assert tested.convert_all([cell]) == [text]

    @pytest.mark.parametrize("cell", ["=A1&B1", "=1+1", "'=A1", '=VLOOKUP(A1,"x",2)'])
    def test_a_formula_is_invalid(self, cell: str) -> None:
        for tested in (
            ExternalIdConverter(MappedColumn("Id", "ExternalId"), PLACEHOLDERS),
            HostNameConverter(MappedColumn("Name", "HostName"), PLACEHOLDERS),
        ):
            (reason,) = tested.convert_all([cell])
            assert isinstance(reason, InvalidCell)
            assert "is a formula. Export its value." in reason
