"""Placeholders: cells that stand for an empty one."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from itertools import pairwise

from airflow_provider_ads.discovery.parameters import quote

__all__ = ["PLACEHOLDERS", "check_na_values", "clean_cell", "placeholders_of", "visible"]

#: Cells that count as empty, in lower case: those of pandas' ``read_csv``, and others that inventories contain.
#: https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html
PLACEHOLDERS = frozenset(
    [
        *("#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a", "na", "nan"),
        *("none", "null", "(null)", "(none)", "<null>", "<none>", "undefined", "unspecified", "not set", "not defined"),
        *("-", "--", "---", "?", "??", "n.a.", "n/d", "unknown", "(unknown)", "tbd", "tbc", "to be determined"),
        *("nil", "unassigned", "(leer)", "unbekannt"),
        *("(blank)", "(empty)", "not available", "not applicable"),
        *("#ref!", "#value!", "#name?", "#div/0!", "#num!", "#null!", "#spill!", "#calc!", "#getting_data"),
        # Errors in other languages, and of Google Sheets.
        *("#nv", "#wert!", "#bezug!", "#zahl!", "#valeur!", "#nom?", "#nombre!", "#nul!", "#error!"),
        *("#¡ref!", "#¡valor!", "#¿nombre?", "#¡num!", "#¡div/0!", "#¡nulo!", "#valor!", "#nome?", "#n/d", "#rif!"),
        *("#valore!", "#verw!", "#waarde!", "#naam?", "#getal!", "#adr!", "#arg!", "#н/д", "#знач!", "#ссылка!"),
        # NULL in MySQL's exports.
        "\\n",
        *("system.string[]", "system.object[]", "system.string", "system.object"),
    ]
)

#: Further cells that count as empty: errors of LibreOffice, and names of .NET's arrays.
_FURTHER = re.compile(r"err:5[0-9]{2}|\w++(?:\.\w++)++\[\]")

#: Characters without a meaning at the start and end of cells: whitespace, zero-width spaces and byte order marks.
#: Beyond U+3000, only the byte order mark is among them.
_INVISIBLE = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\ufeff"

#: Characters inside a cell that look like a blank or like nothing, and that web pages and directories add: no-break
#: spaces, soft hyphens, zero-width spaces, marks of the writing direction, and byte order marks.
_UNSEEN: dict[int, str | None] = {
    **dict.fromkeys(map(ord, "\u00a0\u2007\u202f"), " "),
    **dict.fromkeys((0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF)),
}

#: A formula that makes a spreadsheet keep a text unchanged, such as ``="00123"``.
_TEXT_FORMULA = re.compile(r'="((?:[^"]|"")*)"')


def check_na_values(na_values: object) -> Mapping[str | None, frozenset[str]]:
    """
    Return further placeholders by header, in lower case; those under None apply to all headers.

    :param na_values: None, a list of strings, or a dict of such lists by header.
    :raises ValueError: it has another form.
    """
    by_header = na_values if isinstance(na_values, Mapping) else {None: [] if na_values is None else na_values}
    result: dict[str | None, frozenset[str]] = {}
    for header, values in by_header.items():
        if not isinstance(values, list | tuple | set | frozenset) or not all(isinstance(text, str) for text in values):
            raise ValueError(
                f"na_values must be a list of strings, or a dict of such lists by header; got {quote(na_values)}"
            )
        result[header] = frozenset(clean_cell(text, frozenset()).lower() for text in values)
    return result


def placeholders_of(
    header: str, na_values: Mapping[str | None, frozenset[str]], keep_default_na: bool
) -> frozenset[str]:
    """
    Return the placeholders that apply to a header.

    :param na_values: the result of :func:`check_na_values`.
    :param keep_default_na: True to add :data:`PLACEHOLDERS`.
    """
    added = na_values.get(None, frozenset()) | na_values.get(header, frozenset())
    return added | PLACEHOLDERS if keep_default_na else added


def clean_cell(cell: str, placeholders: frozenset[str]) -> str:
    """
    Return a cell without surrounding whitespace, unseen characters and a formula for text.

    :return: the text, in which no-break spaces are blanks; empty if it is a placeholder.
    """
    text = (cell if cell.isascii() else cell.translate(_UNSEEN)).strip(_INVISIBLE)
    if text.startswith('="') and (formula := _TEXT_FORMULA.fullmatch(text)):
        text = formula[1].replace('""', '"').strip(_INVISIBLE)
    lower = text.lower()
    # Without the defaults, "#n/a" is not a placeholder.
    is_empty = lower in placeholders or ("#n/a" in placeholders and _FURTHER.fullmatch(lower))
    return "" if is_empty else text


def visible(without: str) -> str:
    """
    Return the content of a regex character class of all characters except whitespace and control characters.

    It lists the characters that are in the class, because a negated class takes twice as long to match.

    :param without: further characters that are not in the class.
    """
    excluded = {*map(ord, _INVISIBLE), *_UNSEEN, *range(0x20), *range(0x7F, 0xA0)}
    edges = sorted(excluded | {ord(character) for character in without} | {-1, sys.maxunicode + 1})
    ranges = [(low + 1, high - 1) for low, high in pairwise(edges) if high - low > 1]
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)
