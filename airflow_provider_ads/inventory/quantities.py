"""
Numbers: decimal and thousands separators, and units.

Numbers must not be negative, because each counts or measures something; their maximum is not documented, so there is
none here.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from statistics import median

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.cells import CellConverter, InvalidCell
from airflow_provider_ads.inventory.columns import MappedColumn, mapping_line
from airflow_provider_ads.inventory.placeholders import clean_cell
from airflow_provider_ads.inventory.table import NumberCell, Question
from airflow_provider_ads.inventory.template import MEMORY_COLUMNS, PERCENTAGE_COLUMNS, UNITS

__all__ = ["NUMBER_FORMATS", "SAMPLE_ROWS", "NumberConverter", "NumberFormat", "check_number_format", "unit_in"]

#: Number of rows whose numbers are examined for a wrong unit.
SAMPLE_ROWS = 25_000

#: Amounts of memory in MB below or above which another unit is likelier. A server has more than 256 MB, and less than
#: 16 TB.
LIKELY_MEMORY = (256, 16_000_000)

#: Median in MB above which another unit is likelier if the header has none: 1 TB, which is 1 GB if it is in KB.
UNLIKELY_MEDIAN = 1_024**2 - 1

#: Number of percentages that are enough to suspect fractions, if all of them are at most 1.
MIN_FRACTIONS = 20

#: Maximum number of characters in a number.
MAX_DIGITS = 40

#: Number of cells with a separator that are kept to compare their possible meanings.
EXAMPLES = 20

#: Spellings of units, without a "/s" or "ps" at the end and in lower case.
_UNIT_NAMES = {
    **dict.fromkeys(("b", "byte", "bytes", "octet", "octets"), "B"),
    **{
        f"{prefix}{ending}": f"{prefix.upper()}B"
        for prefix in "kmgtp"
        # An octet is a byte in French: Ko, Mo, Go.
        for ending in ("", "b", "i", "ib", "byte", "bytes", "o", "io", "octet", "octets")
    },
    **dict.fromkeys(("gig", "gigs"), "GB"),
    **dict.fromkeys(("meg", "megs"), "MB"),
    **{
        f"{prefix}byte{plural}": f"{prefix[0].upper()}B"
        for prefix in ("kilo", "mega", "giga", "tera", "kibi", "mebi", "gibi", "tebi")
        for plural in ("", "s")
    },
    **dict.fromkeys(("%", "percent", "pct", "percentage"), "%"),
    **dict.fromkeys(("fraction", "ratio"), "fraction"),
}

#: What columns count, in the singular and in lower case. Other words, such as sockets for cores, are invalid.
_COUNTED = {
    "CPU.NumberOfProcessors": ("cpu", "processor", "socket", "vcpu"),
    "CPU.NumberOfCores": ("core", "cpu", "vcore", "vcpu"),
    "CPU.NumberOfLogicalCores": ("cpu", "thread", "vcore", "vcpu"),
}

_NUMBER_AND_UNIT = re.compile(r"([-+0-9.,'\s]*[0-9][.,]?(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]+(?:/s|/sec|\(s\))?|%)?")


#: With enough digits to multiply without rounding.
_CONTEXT = Context(prec=200)


class NumberFormat:
    """
    The format of numbers.

    :param decimal: the decimal separator.
    :param thousands: the separator of groups of three digits; None for none.
    """

    def __init__(self, decimal: str = ".", thousands: str | None = None) -> None:
        self.decimal, self.thousands = decimal, thousands
        whole = r"[0-9]+"
        if thousands is not None:
            mark = re.escape(thousands)
            # In India, the groups above the last one have two digits: 1,31,072.
            indian = rf"|[1-9][0-9]?(?:{mark}[0-9]{{2}})+{mark}[0-9]{{3}}" if thousands == "," else ""
            whole = rf"(?:[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+{indian}|[0-9]+)"
        point = re.escape(decimal)
        exponent = r"(?:[eE][+-]?[0-9]{1,2})?"
        self._pattern = re.compile(rf"(?:\+|-(?=[0.,]*\Z))?(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+){exponent}")

    def parse(self, text: str) -> Decimal | None:
        """Parse a number of 0 or more; return None for any other text."""
        text = re.sub(r"\s", " ", text)
        if not self._pattern.fullmatch(text):
            return None
        if self.thousands is not None:
            text = text.replace(self.thousands, "")
        return abs(Decimal(text.replace(self.decimal, ".")))

    @property
    def arguments(self) -> str:
        """The arguments to paste into a task, as short as possible."""
        if self.thousands is None:
            return f'decimal="{self.decimal}",'
        if self.decimal == _default_decimal(self.thousands):
            return f'thousands="{self.thousands}",'
        return f'decimal="{self.decimal}", thousands="{self.thousands}",'


#: The possible formats, the likeliest first.
NUMBER_FORMATS = (
    NumberFormat("."),
    NumberFormat(","),
    NumberFormat(",", "."),
    NumberFormat(".", ","),
    NumberFormat(".", " "),
    NumberFormat(",", " "),
    NumberFormat(".", "'"),
    NumberFormat(",", "'"),
)


def check_number_format(decimal: object, thousands: object) -> NumberFormat | None:
    """
    Return the format of numbers; None if the user did not set it.

    :param decimal: the decimal separator, a point or a comma, or None.
    :param thousands: the separator of groups of three digits: a point, a comma, a blank or an apostrophe, or None.
    :raises ValueError: one of them is something else, or both are the same.
    """
    if decimal not in (None, ".", ","):
        raise ValueError(f"decimal must be '.' or ','; got {quote(decimal)}")
    if thousands not in (None, ".", ",", " ", "'"):
        raise ValueError(f"thousands must be '.', ',', ' ' or \"'\"; got {quote(thousands)}")
    if decimal is not None and decimal == thousands:
        raise ValueError(f"decimal and thousands must be different; got {quote(decimal)} for both")
    if decimal is None and thousands is None:
        return None
    return NumberFormat(str(decimal or _default_decimal(thousands)), None if thousands is None else str(thousands))


def _default_decimal(thousands: object) -> str:
    return "," if thousands == "." else "."


class NumberConverter(CellConverter):
    """
    Convert numbers to a point as decimal separator and to the template's unit.

    :param number_format: the format of the numbers; None if the user did not set it.
    :ivar numbers: the numbers of the first :data:`SAMPLE_ROWS` rows.
    :ivar unit: the unit of numbers without their own; None if they are in the template's.
    """

    def __init__(
        self, mapped: MappedColumn, placeholders: frozenset[str], number_format: NumberFormat | None = None
    ) -> None:
        super().__init__(mapped, placeholders)
        self._format = number_format or NUMBER_FORMATS[0]
        self._is_told = number_format is not None
        self._units = UNITS.get(mapped.column, {})
        self._counted = _COUNTED.get(mapped.column, ())
        self.unit = mapped.unit
        self._factor = self._units[mapped.unit] if mapped.unit else Decimal(1)
        if self._factor == 1 and self._format.decimal == ".":
            # Three digits after a point can also be thousands, so convert() has to examine them.
            self.unchanged = r"(?:[0-9]{1,20}+(?:\.(?:[0-9]{1,2}+|[0-9]{4,19}+))?+)?+"
        #: The formats that all cells with a separator have, and some of these cells.
        self._formats = list(NUMBER_FORMATS)
        self._examples: dict[str, None] = {}
        #: The numbers of the first rows, and those among them that have their own unit.
        self.numbers = array("d")
        self._with_unit = array("d")
        self._has_own_unit: set[str] = set()
        self._rows = 0

    def convert_all(self, cells: Sequence[str]) -> Sequence[str]:
        """Convert the cells of several rows, and keep the first numbers for :meth:`questions` and the report."""
        result = super().convert_all(cells)
        if self._rows < SAMPLE_ROWS:
            self._rows += len(cells)
            if result is cells:
                self.numbers.extend(map(float, filter(None, cells)))
            else:
                numbers = [
                    (cell, float(number))
                    for cell, number in zip(cells, result, strict=True)
                    if number and not isinstance(number, InvalidCell)
                ]
                self.numbers.extend(number for _, number in numbers)
                self._with_unit.extend(number for cell, number in numbers if cell in self._has_own_unit)
        return result

    def convert_several(self, cells: Sequence[str]) -> list[str]:
        """Return the converted cells."""
        # A number of a spreadsheet always has a decimal point, while an equal text can have another meaning.
        return [self.convert(cell) if type(cell) is NumberCell else self.memo[cell] for cell in cells]

    def convert(self, cell: str) -> str:
        """Return the number in the template's unit, or an :class:`InvalidCell`."""
        # Windows writes Swiss thousands with a typographic apostrophe.
        text = clean_cell(cell, self.placeholders).replace("\u2019", "'")
        if not text:
            return ""
        match = _NUMBER_AND_UNIT.fullmatch(text)
        if not match or len(match[1]) > MAX_DIGITS:
            return InvalidCell(f"{quote(cell)} is not a number of 0 or more.")
        digits, unit = match[1].strip(), match[2]
        factor = self._factor
        if unit and re.sub(r"s$|\(s\)$", "", unit.lower()) not in self._counted:
            name = _unit_named(unit)
            if name not in self._units:
                known = f"Its units are {', '.join(self._units)}." if self._units else "The column has no unit."
                return InvalidCell(f"{quote(cell)} has a unit that cannot be converted. {known}")
            factor = self._units[name]
            if len(self._has_own_unit) < SAMPLE_ROWS:
                self._has_own_unit.add(cell)
        number_format = NUMBER_FORMATS[0] if isinstance(cell, NumberCell) else self._format
        if not (self._is_told or isinstance(cell, NumberCell)):
            self._compare_formats(digits)
        number = number_format.parse(digits)
        if number is None:
            return InvalidCell(f"{quote(cell)} is not a number of 0 or more{self._format_advice(digits)}.")
        if factor == 1 and number_format.decimal == "." and re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", digits):
            return digits
        return _plain(_CONTEXT.multiply(number, factor))

    def _compare_formats(self, digits: str) -> None:
        if not re.search(r"[.,'\s]", digits):
            return
        possible = [each for each in NUMBER_FORMATS if each.parse(digits) is not None]
        if possible:
            self._formats = [each for each in self._formats if each in possible]
            if len(self._examples) < EXAMPLES:
                self._examples[digits] = None

    def _format_advice(self, digits: str) -> str:
        if self._is_told:
            return f" with {self._format.arguments.rstrip(',')}"
        is_one_of_several = digits in self._examples and len(self._examples) > 1
        return ". Its separators differ from those of other cells" if is_one_of_several else ""

    def questions(self) -> Iterator[Question]:
        """Yield a question about the separators or, because numbers depend on them, otherwise one about the unit."""
        return iter(list(self._format_questions()) or list(self._unit_questions()))

    def _numbers_without_unit(self) -> list[float]:
        without_unit = Counter(self.numbers) - Counter(self._with_unit)
        return [number for number in without_unit.elements() if number]

    def warnings(self) -> Iterator[str]:
        """Yield a warning about amounts of memory that are unlikely, although the median is not."""
        # A server that is idle can use little memory.
        if self.mapped.column != "RAM.TotalSizeInMB":
            return
        low, high = LIKELY_MEMORY
        factor = float(self._factor)
        numbers = self._numbers_without_unit()
        unlikely = [number for number in numbers if not low <= number <= high]
        if unlikely and low <= median(numbers) <= high:
            examples = ", ".join(f"{number / factor:,.15g}" for number in list(dict.fromkeys(unlikely))[:3])
            yield (
                f"{self.mapped.label}numbers that are unlikely in {self.unit or 'MB'}, such as {examples}: "
                f"{len(unlikely):,}. Check whether they have another unit."
            )

    @property
    def formats(self) -> list[NumberFormat]:
        """The formats in which every cell with a separator is a number."""
        return self._formats

    def narrow_formats(self, formats: Sequence[NumberFormat]) -> None:
        """Exclude the formats that other columns of the file cannot have."""
        self._formats = [each for each in self._formats if each in formats]

    def _format_questions(self) -> Iterator[Question]:
        formats = self._formats
        if not formats:
            # The cells contradict each other. That matters if one of them has two meanings.
            readings = [{each.parse(digits) for each in NUMBER_FORMATS} - {None} for digits in self._examples]
            if all(len(reading) == 1 for reading in readings):
                return
            formats = [
                each for each in NUMBER_FORMATS if any(each.parse(digits) is not None for digits in self._examples)
            ]
        meanings: dict[tuple[Decimal | None, ...], NumberFormat] = {}
        for each in formats if self._examples else []:
            meanings.setdefault(tuple(map(each.parse, self._examples)), each)
        formats = list(meanings.values())
        if not formats or formats == [NUMBER_FORMATS[0]]:
            return
        # One example of each arrangement of separators, because the same answer can surprise in another one.
        examples = {re.sub(r"[^.,'\s]+", "0", digits): digits for digits in reversed(self._examples)}
        meant = [
            f"{quote(digits)} means "
            + " or ".join(
                dict.fromkeys(_plain(number) for each in formats if (number := each.parse(digits)) is not None)
            )
            for digits in reversed(examples.values())
        ]
        yield Question(
            f"{self.mapped.label}{', and '.join(meant[:3])}. Say how numbers are written"
            f"{', with one of these arguments' if len(formats) > 1 else ', with this argument'}:",
            tuple(each.arguments for each in formats),
        )

    def _unit_without_conversion(self) -> Question:
        header = self.mapped.header
        return Question(
            f"{self.mapped.label}the header names a unit that cannot be converted. Convert the numbers in the source "
            "and rename the header, or ignore it:",
            (mapping_line(header, None),),
        )

    def _unit_questions(self) -> Iterator[Question]:
        column, header = self.mapped.column, self.mapped.header
        in_header = None if header == column else unit_in(header)
        if in_header is not None and not self._units and self.numbers:
            yield self._unit_without_conversion()
        if not self._units or self.mapped.unit:
            return
        own_unit = next(name for name, factor in self._units.items() if factor == 1)
        answers: list[str] = []
        reason = ""
        numbers = self._numbers_without_unit()
        if not numbers:
            return
        if in_header is not None and in_header != own_unit:
            if in_header not in self._units:
                yield self._unit_without_conversion()
                return
            reason = f"the header says {in_header}, and the template needs {own_unit}"
            answers = [in_header, own_unit]
        elif column in MEMORY_COLUMNS:
            middle = median(numbers)
            low, high = LIKELY_MEMORY
            if header != column and in_header is None:
                high = UNLIKELY_MEDIAN
            if not low <= middle <= high:
                reason = f"the median is {middle:,.15g}, which is unlikely in {own_unit}"
                answers = ["GB", "MB"] if middle < LIKELY_MEMORY[0] else ["KB", "B", "MB"]
        elif column in PERCENTAGE_COLUMNS and max(numbers) <= 1:
            has_percent = header != column and in_header == "%"
            if any(number % 1 for number in numbers) and (
                len(numbers) >= MIN_FRACTIONS or not (has_percent or header == column)
            ):
                reason = "all numbers are at most 1, so they might be fractions"
                answers = ["fraction", "%"]
        if answers:
            values = ", ".join(f"{number:.15g}" for number in dict.fromkeys(numbers[:5]))
            yield Question(
                f"{self.mapped.label}{reason}{f' (values: {values})' if values else ''}. Say what the unit is, with "
                "one of these entries of column_mapping:",
                tuple(mapping_line(header, {"column": column, "unit": unit}) for unit in answers),
            )


def _plain(number: Decimal) -> str:
    """Return a number without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _unit_named(text: str) -> str | None:
    """
    Return the unit that a text such as ``GiB`` or ``MB/s`` names.

    :return: the unit; an empty string for one that cannot be converted, such as bits; None if it is not a unit.
    """
    name = re.sub(r"(?:/s|/sec|ps)$", "", text)
    # With a lower-case b, a rate is in bits.
    if re.fullmatch(r"(?i:[kmgt]?bits?|[kmgt]?hz|minutes?|hours?)", name) or (
        name != text and re.fullmatch(r"[KMGTkmgt]i?b", name)
    ):
        return ""
    return _UNIT_NAMES.get(name.lower())


@lru_cache
def unit_in(header: str) -> str | None:
    """
    Return the unit that a header names, such as GB for ``Memory (GB)``, ``ram_gb`` or ``MemoryGB``.

    :return: the unit; an empty string for one that cannot be converted, such as ``Mbps``; None if it names no unit.
    """
    if "%" in header:
        return "%"
    if letter := re.search(r"[(\[]([BKMGTkmgt])[oO]?[)\]]", header):
        return _unit_named(letter[1] if letter[1] == "B" else f"{letter[1]}B")
    for word in reversed(re.findall(r"[A-Za-z]+(?:/s(?:ec)?)?", header)):
        end = re.search(r"(?<=[a-z])(?:[KMGT]i?[Bb](?:ps|/s|ytes?)?|[A-Z][a-z]+)$", word)
        for text in (word, end[0] if end else ""):
            # In a header, "to" and "PO" are words, not units.
            if len(text) > 1 and text.lower() not in ("to", "po") and (name := _unit_named(text)) is not None:
                return name
    return None
