from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ads.inventory.cells import InvalidCell
from airflow_provider_ads.inventory.columns import MappedColumn
from airflow_provider_ads.inventory.placeholders import PLACEHOLDERS
from airflow_provider_ads.inventory.quantities import NumberConverter, check_number_format, unit_in

RAM = "RAM.TotalSizeInMB"
CPU = "CPU.UsagePct.Avg"
READS = "DiskReadsPerSecondInKB.Avg"


def converter(
    header: str = "x",
    column: str = RAM,
    unit: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
) -> NumberConverter:
    return NumberConverter(MappedColumn(header, column, unit), PLACEHOLDERS, check_number_format(decimal, thousands))


def answers(converter: NumberConverter) -> list[str]:
    return [answer for question in converter.questions() for answer in question.answers]


class TestConvert:
    @pytest.mark.parametrize(
        ("cell", "number"),
        [
            ("4096", "4096"),
            ("4096.5", "4096.5"),
            (" 4096 ", "4096"),
            ("+.5", "0.5"),
            ("4.", "4"),
            ("-0", "0"),
            ("4e3", "4000"),
            ("", ""),
            ("N/A", ""),
            ("-", ""),
            ('="4096"', "4096"),
            ("16 GiB", "16384"),
            ("16GB", "16384"),
            ("16 g", "16384"),
            ("0.5 TB", "524288"),
            ("512 MB", "512"),
            ("2048 KB", "2"),
            ("1048576 bytes", "1"),
        ],
    )
    def test_numbers_get_the_unit_and_notation_of_the_template(self, cell: str, number: str) -> None:
        assert converter().convert_all([cell]) == [number]

    @pytest.mark.parametrize(("unit", "number"), [("B", "0.00390625"), ("KB", "4"), ("MB", "4096"), ("GB", "4194304")])
    def test_the_unit_of_the_mapping_applies_to_cells_without_one(self, unit: str, number: str) -> None:
        assert converter(unit=unit).convert_all(["4096", "1 GB"]) == [number, "1024"]

    @pytest.mark.parametrize(
        ("column", "unit", "cell", "number"),
        [
            (CPU, None, "12.5%", "12.5"),
            (CPU, "fraction", "0.125", "12.5"),
            (CPU, "fraction", "13 %", "13"),
            (READS, "MB", "1.5", "1536"),
            (READS, None, "1.5 MB/s", "1536"),
            (READS, None, "10 KBps", "10"),
        ],
    )
    def test_percentages_and_rates_have_units_too(self, column: str, unit: str | None, cell: str, number: str) -> None:
        assert converter(column=column, unit=unit).convert_all([cell]) == [number]

    @pytest.mark.parametrize(
        ("column", "cell", "number"),
        [
            ("CPU.NumberOfCores", "4 vCPU", "4"),
            ("CPU.NumberOfCores", "1 Core", "1"),
            ("CPU.NumberOfCores", "8 cores", "8"),
            ("CPU.NumberOfProcessors", "2 CPU(s)", "2"),
            ("CPU.NumberOfProcessors", "2 sockets", "2"),
            ("CPU.NumberOfLogicalCores", "16 threads", "16"),
        ],
    )
    def test_a_number_can_name_what_the_column_counts(self, column: str, cell: str, number: str) -> None:
        assert converter(column=column).convert_all([cell]) == [number]

    @pytest.mark.parametrize(
        ("column", "cell"),
        [
            *((RAM, cell) for cell in ("four", "-4", "nan4", "inf", "1_000", "0x10", "4 GHz", "4 4 GB", "1e9999", "٤")),
            ("CPU.NumberOfCores", "4 GB"),
            ("CPU.NumberOfCores", "2 sockets"),
            ("CPU.NumberOfProcessors", "8 cores"),
            (RAM, "4 vCPU"),
            (READS, "10 Mbps"),
            (READS, "800 kbps"),
            (CPU, "12 MB"),
        ],
    )
    def test_anything_else_is_invalid(self, column: str, cell: str) -> None:
        tested = converter(column=column)
        (reason,) = tested.convert_all([cell])
        assert isinstance(reason, InvalidCell)
        assert repr(cell) in reason
        assert (tested.converted, tested.invalid) == (0, 1)
        assert answers(tested) == []

    @pytest.mark.parametrize(
        ("decimal", "thousands", "cell", "number"),
        [
            (",", None, "16,384", "16.384"),
            (None, ",", "16,384", "16384"),
            (None, ",", "16,384.5", "16384.5"),
            (".", None, "16.384", "16.384"),
            (None, ".", "16.384", "16384"),
            (None, ".", "1.024.000,5", "1024000.5"),
            (None, " ", "16 384", "16384"),
            (None, " ", "16\u00a0384", "16384"),
            (",", " ", "16\u202f384,5", "16384.5"),
            (None, "'", "16'384", "16384"),
            (None, "'", "16\u2019384", "16384"),
            (None, ",", "1,31,072", "131072"),
            (None, ",", "10,48,576.5", "1048576.5"),
            (",", None, "4096", "4096"),
        ],
    )
    def test_separators_are_those_of_the_parameters(
        self, decimal: str | None, thousands: str | None, cell: str, number: str
    ) -> None:
        tested = converter(unit="MB", decimal=decimal, thousands=thousands)
        assert tested.convert_all([cell]) == [number]
        assert answers(tested) == []

    @pytest.mark.parametrize(
        ("decimal", "thousands", "cell"),
        [
            (".", None, "16,384"),
            (",", None, "16.384"),
            (None, ",", "16,38"),
            (None, ",", "1,31,07"),
            (None, ",", "131,07,072"),
            (None, ".", "1.31.072"),
            (None, ",", "0,384"),
            (None, ".", "16.38"),
        ],
    )
    def test_other_separators_are_invalid(self, decimal: str | None, thousands: str | None, cell: str) -> None:
        (reason,) = converter(decimal=decimal, thousands=thousands).convert_all([cell])
        assert isinstance(reason, InvalidCell)

    @given(st.integers(0, 10**12), st.sampled_from(["B", "KB", "MB", "GB", "TB"]))
    def test_no_digit_is_lost(self, number: int, unit: str) -> None:
        (megabytes,) = converter(unit=unit).convert_all([str(number)])
        assert converter(unit="MB").convert_all([f"{megabytes} MB"]) == [megabytes]
        factor = {"B": 2**-20, "KB": 2**-10, "MB": 1, "GB": 2**10, "TB": 2**20}[unit]
        assert float(megabytes) == pytest.approx(number * factor, rel=1e-12)


class TestQuestions:
    @pytest.mark.parametrize(
        ("cells", "expected"),
        [
            (["16.384"], ['decimal=".",', 'thousands=".",']),
            (["16.384", "8.192"], ['decimal=".",', 'thousands=".",']),
            (["16,384"], ['decimal=",",', 'thousands=",",']),
            (["16 384"], ['thousands=" ",']),
            (["16'384"], ['thousands="\'",']),
            (["1.024.000"], ['thousands=".",']),
            (["1,024,000"], ['thousands=",",']),
            (["1.024,5"], ['thousands=".",']),
            (["1 024,5"], ['decimal=",", thousands=" ",']),
            (["4096,5"], ['decimal=",",']),
            (["16,384 MB"], ['decimal=",",', 'thousands=",",']),
            (["0.384"], []),
            (["16.384", "16.5"], []),
            (["16.384", "16384.125"], []),
            (["4096", "16.38"], []),
            (["16,5", "16.5"], []),
            (["16.384", "1024.5", "1024,5"], ['decimal=".",', 'decimal=",",', 'thousands=".",']),
        ],
    )
    def test_separators_that_are_not_certain_cause_a_question(self, cells: list[str], expected: list[str]) -> None:
        # A number of cores has no unit, so nothing but the separators can be uncertain.
        tested = converter(column="CPU.NumberOfCores" if "MB" not in cells[0] else RAM)
        tested.convert_all(cells)
        assert answers(tested) == expected

    def test_a_question_quotes_a_cell_and_what_it_can_mean(self) -> None:
        tested = converter("Speicher", unit="MB")
        tested.convert_all(["16.384"])
        (question,) = tested.questions()
        assert question.text == (
            "'Speicher' (RAM.TotalSizeInMB): '16.384' means 16.384 or 16384. Say how numbers are written, with one of "
            "these arguments:"
        )

    def test_the_question_contains_an_example_of_each_arrangement_of_separators(self) -> None:
        tested = converter()
        tested.convert_all(["16 384", "8 192", "16,384 MB"])
        (question,) = tested.questions()
        assert question.text.startswith("'x' (RAM.TotalSizeInMB): '16 384' means 16384, and '16,384' means 16.384. Say")
        assert question.answers == ('decimal=",", thousands=" ",',)

    @pytest.mark.parametrize(
        ("header", "column", "cells", "units"),
        [
            ("RAM", RAM, ["4.0"], ["GB", "MB"]),
            ("RAM", RAM, ["4", "0", "0", "8", "16"], ["GB", "MB"]),
            ("RAM", RAM, ["17179869184"], ["KB", "B", "MB"]),
            ("RAM", RAM, ["1048576"], ["KB", "B", "MB"]),
            ("RAM", RAM, ["1048575"], []),
            ("RAM (MB)", RAM, ["8388608"], []),
            (RAM, RAM, ["8388608"], []),
            ("Memory (GB)", RAM, ["4096"], ["GB", "MB"]),
            ("ram_gb", RAM, ["4096"], ["GB", "MB"]),
            ("MemoryGB", RAM, ["4096"], ["GB", "MB"]),
            ("Memory (GiB)", RAM, ["4096"], ["GB", "MB"]),
            ("Memory (MB)", RAM, ["16"], ["GB", "MB"]),
            ("Disk reads (MB/s)", READS, ["1"], ["MB", "KB"]),
            ("CPU load", CPU, ["0.12"], ["fraction", "%"]),
            ("CPU %", CPU, ["0.5"] * 20, ["fraction", "%"]),
            (CPU, CPU, ["0.5"] * 20, ["fraction", "%"]),
        ],
    )
    def test_a_unit_that_is_not_certain_causes_a_question(
        self, header: str, column: str, cells: list[str], units: list[str]
    ) -> None:
        tested = converter(header, column)
        tested.convert_all(cells)
        entries = [f'"{header}": {{"column": "{column}", "unit": "{unit}"}},' for unit in units]
        assert answers(tested) == entries
        for unit in units:
            with_unit = converter(header, column, unit)
            with_unit.convert_all(cells)
            assert answers(with_unit) == []

    @pytest.mark.parametrize(
        ("header", "column", "cells"),
        [
            ("RAM", RAM, ["4096"]),
            ("RAM", RAM, ["4 GB", "16 GB"]),
            ("Memory (GB)", RAM, ["4 GB", ""]),
            ("Memory (MB)", RAM, ["4096"]),
            ("RAM", RAM, ["", "0", "n/a"]),
            ("CPU %", CPU, ["0.5"] * 19),
            ("CPU %", CPU, ["0.5"] * 19 + ["2"]),
            ("CPU load", CPU, ["1"] * 30),
            ("CPUs", "CPU.NumberOfCores", ["1", "0.5"]),
        ],
    )
    def test_a_unit_that_is_certain_causes_no_question(self, header: str, column: str, cells: list[str]) -> None:
        tested = converter(header, column)
        tested.convert_all(cells)
        assert answers(tested) == []

    @pytest.mark.parametrize(
        ("header", "column"),
        [
            ("Network (Mbps)", "NetworkReadsPerSecondInKB.Avg"),
            ("CPU (GHz)", "CPU.NumberOfCores"),
            ("CPU MHz", CPU),
            ("IOPS per minute", "DiskReadsOpsPerSecond.Avg"),
        ],
    )
    def test_other_units_cannot_be_converted(self, header: str, column: str) -> None:
        tested = converter(header, column)
        tested.convert_all(["12"])
        assert answers(tested) == [f'"{header}": None,']


class TestWarnings:
    @pytest.mark.parametrize(
        ("unit", "cells", "examples"),
        [
            (None, ["4096", "8192", "4096", "8192", "4", "8", "4", "0", "16 MB"], "MB, such as 4, 8: 3"),
            (None, ["4096", "8192", "16384", "16777216"], "MB, such as 16,777,216: 1"),
            ("GB", ["4", "8", "16", "32768"], "GB, such as 32,768: 1"),
        ],
    )
    def test_amounts_of_memory_far_from_the_others_are_a_warning(
        self, unit: str | None, cells: list[str], examples: str
    ) -> None:
        tested = converter(unit=unit)
        tested.convert_all(cells)
        (warning,) = tested.warnings()
        assert f"numbers that are unlikely in {examples}. Check" in warning

    @pytest.mark.parametrize(
        ("column", "cells"),
        [
            ("RAM.TotalSizeInMB", ["4096", "512", "256", "0", "", "100 GB"]),
            ("RAM.TotalSizeInMB", ["4", "8", "4096"]),
            ("RAM.UsedSizeInMB.Avg", ["4096", "4096", "4"]),
            ("CPU.NumberOfCores", ["4096", "4096", "4"]),
        ],
    )
    def test_plausible_amounts_of_memory_cause_no_warning(self, column: str, cells: list[str]) -> None:
        tested = converter("Size", column)
        tested.convert_all(cells)
        assert list(tested.warnings()) == []


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("Memory (GB)", "GB"),
        ("Memory [MiB]", "MB"),
        ("RAM (G)", "GB"),
        ("ram_gb", "GB"),
        ("TotalMemoryGB", "GB"),
        ("CPU usage %", "%"),
        ("cpu_pct", "%"),
        ("CPU ratio", "fraction"),
        ("Disk read MB/s", "MB"),
        ("Net Mbps", ""),
        ("Net (kbps)", ""),
        ("Net (kB/s)", "KB"),
        ("CPU (GHz)", ""),
        ("IOPS per minute", ""),
        ("Memory (kB)", "KB"),
        ("MemoryKBytes", "KB"),
        ("RAM (GigaBytes)", "GB"),
        ("Memory - GBytes", "GB"),
        ("RAM Gigs", "GB"),
        ("Mem (B)", "B"),
        ("Memory", None),
        ("Big server", None),
        ("Tier", None),
        ("Mémoire (Go)", "GB"),
        ("memoire_mo", "MB"),
        ("Memory (To)", "TB"),
        ("Memory assigned to", None),
    ],
)
def test_a_header_can_name_a_unit(header: str, unit: str | None) -> None:
    assert unit_in(header) == unit


@pytest.mark.parametrize(
    ("decimal", "thousands", "message"),
    [
        ("x", None, r"decimal must be '\.' or ','; got 'x'"),
        (None, "_", "thousands must be .* got '_'"),
        (",", ",", "must be different; got ',' for both"),
    ],
)
def test_an_invalid_separator_is_refused(decimal: str | None, thousands: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_number_format(decimal, thousands)


def test_a_number_with_too_many_digits_is_invalid_in_any_batch() -> None:
    converter = NumberConverter(MappedColumn("RAM", "RAM.TotalSizeInMB"), PLACEHOLDERS)
    for cells in (["1" * 41], ["1" * 41, "16 GB"]):
        assert isinstance(converter.convert_all(cells)[0], InvalidCell)
