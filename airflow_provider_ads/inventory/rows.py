"""Conversion of a table's rows to those of the import template, several hundred rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress, islice
from statistics import median

from airflow_provider_ads.discovery.limits import TAGS_PER_SERVER
from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.addresses import IPAddressConverter, MACAddressConverter
from airflow_provider_ads.inventory.cells import (
    CellConverter,
    ExternalIdConverter,
    HostNameConverter,
    InvalidCell,
    MoRefIdConverter,
    NameConverter,
    TextConverter,
)
from airflow_provider_ads.inventory.columns import MappedColumn, list_headers, mapping_line, match_columns
from airflow_provider_ads.inventory.footers import FooterFinder
from airflow_provider_ads.inventory.lists import ApplicationsConverter, TagsConverter, add_tags, join_lists
from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.placeholders import placeholders_of
from airflow_provider_ads.inventory.quantities import NUMBER_FORMATS, NumberConverter
from airflow_provider_ads.inventory.report import ColumnReport
from airflow_provider_ads.inventory.row_filter import RowFilter
from airflow_provider_ads.inventory.row_statistics import RowStatistics
from airflow_provider_ads.inventory.synonyms import propose_mapping
from airflow_provider_ads.inventory.table import Question, Record, SuspectCell
from airflow_provider_ads.inventory.template import (
    IDENTITY,
    IDENTITY_COLUMNS,
    IDENTITY_PAIR,
    NUMERIC_COLUMNS,
    ImportFileError,
)

__all__ = ["RowConverter"]

#: Columns in which dates are not what was typed: 22.04 becomes one.
_NEVER_DATES = frozenset((*IDENTITY_COLUMNS, *IDENTITY_PAIR, "VMware.VMName", "OS.Version"))

_CONVERTERS: dict[str, type[CellConverter]] = {
    "ExternalId": ExternalIdConverter,
    "HostName": HostNameConverter,
    "OS.Version": NameConverter,
    "VMware.MoRefId": MoRefIdConverter,
    "VMware.VMName": NameConverter,
    "IPAddress": IPAddressConverter,
    "MACAddress": MACAddressConverter,
    "Applications": ApplicationsConverter,
    "Tags": TagsConverter,
}


class RowConverter:
    """
    Filter, convert and check rows.

    :param header: the source's headers.
    :param options: how to convert.
    :ivar columns: the headers, matched with the template's columns.
    :ivar template_columns: the template columns of the converted rows.
    :ivar filter: the filter, with the number of rows that it removed.
    :ivar statistics: statistics about the valid rows.
    :ivar rows_short: number of rows whose last cells are missing.
    :raises ImportFileError: the headers do not fit the options, or no row with these columns can identify a server.
    """

    def __init__(self, header: Sequence[str], options: PrepareOptions) -> None:
        self.columns = match_columns(header, options.mapping)
        self.filter = RowFilter(options.conditions, header)
        self.statistics = RowStatistics()
        self.rows_short = 0
        self._footers = FooterFinder()
        self._header = header
        self._width = len(header)
        self._tags = options.added_tags
        self._tag_conflicts = 0
        #: Number of rows with only one cell, and some of these cells.
        self._lone = 0
        self._lone_examples: list[str] = []
        if missing := [name for name in options.placeholders if name is not None and name not in header]:
            raise ImportFileError(
                f"na_values contains headers that the file does not have: {list_headers(missing)}. The file has "
                f"{list_headers(header)}."
            )
        self._converters = {place: _make_converter(mapped, options) for place, mapped in self.columns.mapped.items()}
        #: The places of each template column, in the source's order; the places of a list are in the mapping's order.
        self._places: dict[str, list[int]] = {mapped.column: [] for _, mapped in sorted(self.columns.mapped.items())}
        for place, mapped in self.columns.mapped.items():
            self._places[mapped.column].append(place)
        if self._tags:
            self._places.setdefault("Tags", [])
        self.template_columns = tuple(self._places)
        self._empty = dict.fromkeys(self._converters, 0)
        self._single = [column for column in IDENTITY_COLUMNS if column in self._places]
        self._pair = [column for column in IDENTITY_PAIR if column in self._places]
        if not self._single and len(self._pair) < len(IDENTITY_PAIR):
            proposed = propose_mapping(header)
            columns = {entry if isinstance(entry, str) else entry["column"] for entry in proposed.values()}
            if columns.isdisjoint(IDENTITY_COLUMNS) and not columns.issuperset(IDENTITY_PAIR):
                # Most virtual machines are named after their host name.
                proposed = {name: "HostName" if entry == "VMware.VMName" else entry for name, entry in proposed.items()}
            lines = [mapping_line(name, proposed[name]) for name in proposed] or ['"Server Name": "HostName",']
            raise ImportFileError(
                f"No column identifies the servers. A file needs {IDENTITY}. The file has {list_headers(header)}. Map "
                f"the columns that identify them with column_mapping, for example:\n    " + "\n    ".join(lines)
            )

    def convert(self, records: Sequence[Record]) -> tuple[list[Record], list[Sequence[str]], list[tuple[Record, str]]]:
        """
        Convert records.

        :return: the records that are valid, their columns in the import template, and the invalid records with reasons.
        """
        invalid: list[tuple[Record, str]] = []
        kept = list(self._fit(records, invalid))
        if not kept:
            return [], [[] for _ in self._places], invalid
        problems: list[list[str] | None] = [None] * len(kept)
        sources = list(zip(*(record.cells for record in kept), strict=True))
        # Text files have no suspect cells, and searching for them takes time.
        if kept[0].text is None:
            self._check_suspects(sources, problems)
        outputs = {
            column: self._convert_column(column, places, sources, problems, len(kept))
            for column, places in self._places.items()
        }
        self._check_identities(outputs, problems)
        self._check_headers(sources, problems)
        for index, reason in self._footers.find(kept, outputs):
            _add(problems, index, reason)
        self._find_lone(sources, problems)
        if any(problems):
            valid = [not reasons for reasons in problems]
            invalid += [(record, " ".join(reasons)) for record, reasons in zip(kept, problems, strict=True) if reasons]
            kept = list(compress(kept, valid))
            outputs = {column: list(compress(cells, valid)) for column, cells in outputs.items()}
        self.statistics.add(outputs, len(kept))
        return kept, list(outputs.values()), invalid

    def _fit(self, records: Sequence[Record], invalid: list[tuple[Record, str]]) -> Iterator[Record]:
        """Yield the records that pass the filter, with as many cells as the header."""
        width = self._width
        has_filter = bool(self.filter.filtered)
        for record in records:
            if record.problem:
                invalid.append((record, record.problem))
                continue
            if len(record.cells) != width:
                if problem := _problem_of_width(record.cells, width):
                    invalid.append((record, problem))
                    continue
                missing = width - len(record.cells)
                self.rows_short += missing > 0
                record = record._replace(cells=[*record.cells[:width], *[""] * missing])
            if not has_filter or self.filter.keeps(record.cells):
                yield record

    def _check_suspects(self, sources: Sequence[Sequence[str]], problems: list[list[str] | None]) -> None:
        for place, converter in self._converters.items():
            is_date_wrong = converter.mapped.column in _NEVER_DATES
            for index, cell in enumerate(sources[place]):
                if isinstance(cell, SuspectCell) and (is_date_wrong or not cell.is_date):
                    _add(problems, index, f"{converter.mapped.label}{quote(str(cell))} {cell.reason}.")

    def _convert_column(
        self,
        column: str,
        places: Sequence[int],
        sources: Sequence[Sequence[str]],
        problems: list[list[str] | None],
        count: int,
    ) -> Sequence[str]:
        lists: list[Sequence[str]] = []
        for place in places:
            converter = self._converters[place]
            cells = converter.convert_all(sources[place])
            self._empty[place] += cells.count("")
            if cells is not sources[place] and InvalidCell in set(map(type, cells)):
                for index, cell in enumerate(cells):
                    if isinstance(cell, InvalidCell):
                        _add(problems, index, converter.mapped.label + cell)
            lists.append(cells)
        is_changed = len(lists) > 1
        result = lists[0] if len(lists) == 1 else [join_lists(list(each)) for each in zip(*lists, strict=True)]
        if column == "Tags" and self._tags:
            is_changed = True
            added = [
                (cell, False) if isinstance(cell, InvalidCell) else add_tags(cell, self._tags)
                for cell in (result if lists else [""] * count)
            ]
            self._tag_conflicts += sum(conflict for _, conflict in added)
            result = [cell for cell, _ in added]
        if column == "Tags" and is_changed:
            for index, cell in enumerate(result):
                if (tags := cell.count(", ") + 1) > TAGS_PER_SERVER and not isinstance(cell, InvalidCell):
                    _add(problems, index, f"The server has {tags:,} tags; the maximum is {TAGS_PER_SERVER}.")
        return result

    def _check_identities(self, outputs: dict[str, Sequence[str]], problems: list[list[str] | None]) -> None:
        if any("" not in outputs[column] for column in self._single):
            return
        single = [outputs[column] for column in self._single]
        pair = [outputs[column] for column in self._pair] if len(self._pair) == len(IDENTITY_PAIR) else []
        for index in range(len(problems)):
            if any(cells[index] for cells in single) or (pair and all(cells[index] for cells in pair)):
                continue
            _add(problems, index, f"The row needs one of {IDENTITY}.")

    def _check_headers(self, sources: Sequence[Sequence[str]], problems: list[list[str] | None]) -> None:
        """Find rows that repeat the header, as in files that were joined, and on each page of a report."""
        first, *others = self._converters
        name = self._header[first]
        for index, cell in enumerate(sources[first]) if name in sources[first] else ():
            # A repeated header has a number at its end.
            if cell == name and all(
                sources[place][index].strip() in (self._header[place], self._header[place].rpartition(".")[0])
                for place in others
            ):
                _add(problems, index, "The row repeats the header. Delete it.")

    def _find_lone(self, sources: Sequence[Sequence[str]], problems: list[list[str] | None]) -> None:
        """Find valid rows with only one cell, which can be headings: ``Zürich,,``."""
        # In most files, several columns are filled in all rows.
        if self._width < 2 or any(islice((True for column in sources if "" not in column), 1, None)):
            return
        for row, reasons in zip(zip(*sources, strict=True), problems, strict=True):
            if not reasons and row.count("") == self._width - 1:
                self._lone += 1
                self._lone_examples += [max(row)] if self._lone <= 3 else []

    def questions(self) -> list[Question]:
        """Return a question for each ambiguity, but only one of those with the same answers."""
        numbers = [each for each in self._converters.values() if isinstance(each, NumberConverter)]
        # All numbers of a file have the same format, unless columns contradict each other.
        common = [each for each in NUMBER_FORMATS if all(each in converter.formats for converter in numbers)]
        for converter in numbers if common else []:
            converter.narrow_formats(common)
        found = [question for converter in self._converters.values() for question in converter.questions()]
        return list({question.answers: question for question in reversed(found)}.values())[::-1]

    def reports(self) -> tuple[ColumnReport, ...]:
        """Return the columns in the source's order."""
        reports = [self._report(place, converter) for place, converter in sorted(self._converters.items())]
        added = [ColumnReport("", "Tags", converted=self.statistics.rows)] if self._tags else []
        return (*reports, *added)

    def _report(self, place: int, converter: CellConverter) -> ColumnReport:
        mapped, numbers = converter.mapped, getattr(converter, "numbers", None)
        return ColumnReport(
            mapped.header,
            mapped.column,
            getattr(converter, "unit", None),
            converter.converted,
            self._empty[place],
            converter.invalid,
            *((min(numbers), median(numbers), max(numbers)) if numbers else ()),
        )

    def warnings(self) -> list[str]:
        """Return a sentence for each fact that the user might not expect."""
        warnings = self.filter.warnings() + self.statistics.warnings()
        for converter in self._converters.values():
            warnings += converter.warnings()
        if self._tag_conflicts:
            warnings.append(f"tags: {self._tag_conflicts:,} rows keep a value of their own for one of the names.")
        # A file in which many servers have nothing but a name is a list of names.
        if 0 < self._lone * 10 <= self.statistics.rows:
            examples = ", ".join(map(quote, self._lone_examples))
            warnings.append(
                f"Rows with only one cell, which might be headings instead of servers: {self._lone:,}, such as "
                f"{examples}."
            )
        return warnings


def _problem_of_width(cells: Sequence[str], width: int) -> str:
    """Return the problem of a row with more or fewer cells than the header; empty for a row that can be used."""
    if any(map(str.strip, cells[width:])):
        return (
            f"The row has {len(cells):,} cells, but the header has {width:,}. Put quotes around a cell that contains "
            "the delimiter."
        )
    if len(cells) < width and sum(map(bool, map(str.strip, cells))) == 1:
        return (
            f"Only one of {width:,} cells is filled, as if a line break in a cell had ended the row before. Put quotes "
            "around that cell."
        )
    return ""


def _make_converter(mapped: MappedColumn, options: PrepareOptions) -> CellConverter:
    placeholders = placeholders_of(mapped.header, options.placeholders, options.keep_default_na)
    if mapped.column in NUMERIC_COLUMNS:
        return NumberConverter(mapped, placeholders, options.number_format)
    return _CONVERTERS.get(mapped.column, TextConverter)(mapped, placeholders)


def _add(problems: list[list[str] | None], index: int, reason: str) -> None:
    reasons = problems[index]
    if reasons is None:
        problems[index] = [reason]
    elif reason not in reasons:
        reasons.append(reason)
