"""The dry run: ``python -m airflow_provider_ads.inventory FILE``."""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import Any

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.columns import list_headers, mapping_line
from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.prepare import open_table, prepare_import_file
from airflow_provider_ads.inventory.report import PreparedImportFile
from airflow_provider_ads.inventory.synonyms import SAMPLE_ROWS, Entry, names_servers, propose_mapping
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["main"]

#: Maximum number of headers without a proposal that are listed, and of values of each.
MAX_HEADERS, MAX_VALUES = 40, 5


def main(arguments: list[str] | None = None) -> int:
    """
    Prepare a local file, and print the report, the problems and a mapping to paste into a Dag.

    :param arguments: the command line's arguments; None for those of the process.
    :return: the exit status, 1 if the file cannot be prepared or contains invalid rows.
    """
    options = vars(_parser().parse_args(arguments))
    file, output = options.pop("file"), options.pop("output")
    arguments_file, mapping_file = options.pop("arguments"), options.pop("mapping")
    options = {name: value for name, value in options.items() if value is not None}
    try:
        if arguments_file:
            options = _read_arguments(arguments_file) | options
        if mapping_file:
            options["column_mapping"] = _read_mapping(mapping_file)
        PrepareOptions(**options)
        if "column_mapping" not in options:
            options["column_mapping"] = _propose(file, options)
        with ExitStack() as stack:
            folder = output or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dry-run-")))
            folder.mkdir(parents=True, exist_ok=True)
            # The first run reports on all rows. If some are invalid, a second run lists their problems.
            prepared = _prepare(file, folder, {**options, "on_invalid_rows": "quarantine"})
            print(prepared)
            print(f"Written to {output}: {', '.join(prepared.files)}." if output else "A dry run: nothing was written.")
            if prepared.rows_quarantined:
                _prepare(file, Path(stack.enter_context(tempfile.TemporaryDirectory())), options)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_ads.inventory",
        description="Preview how a local inventory is prepared for the import, without Airflow or AWS.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="the inventory, as AdsPrepareImportFileOperator reads it"
    )
    parser.add_argument(
        "--arguments",
        type=Path,
        metavar="FILE",
        help="a file with arguments of AdsPrepareImportFileOperator as they are written in a Dag, such as "
        'decimal=",", row_filter={"Class": {"not": ["Service"]}}',
    )
    parser.add_argument(
        "--mapping",
        type=Path,
        metavar="FILE",
        help="a JSON file with column_mapping (default: a mapping of the headers that are recognized)",
    )
    parser.add_argument("--delimiter", help="the character between the cells (default: detect it)")
    parser.add_argument("--encoding", help="the encoding, such as cp1252 (default: detect it)")
    parser.add_argument("--decimal", help="the decimal separator (default: a point, unless that is not certain)")
    parser.add_argument("--thousands", help="the separator of groups of three digits (default: none)")
    parser.add_argument(
        "--rvtools-as-template", action="store_true", help="convert an RVTools export to the import template"
    )
    parser.add_argument("--sheet-name", metavar="NAME", help="the sheet of a workbook (default: the one that fits)")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="the folder for the prepared files (default: write nothing)"
    )
    return parser


def _read_arguments(file: Path) -> dict[str, Any]:
    """Return the operator's arguments that a file contains as they are written in a Dag."""
    try:
        call = ast.parse(f"dict(\n{file.read_text(encoding='utf-8')}\n)", mode="eval").body
        for node in ast.walk(call):
            if isinstance(node, ast.Dict):
                _refuse_repeated(map(ast.literal_eval, filter(None, node.keys)))
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError('it must contain arguments such as encoding="cp1252",')
        found = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{file} cannot be used: {error}") from error
    if unknown := found.keys() - {each.name for each in fields(PrepareOptions) if each.init}:
        raise ValueError(
            f"{file} cannot be used: it contains {list_headers(sorted(unknown))}. Keep only arguments about the file."
        )
    return found


def _read_mapping(file: Path) -> Any:
    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_repeated(name for name, _ in pairs)
        return dict(pairs)

    try:
        return json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=check)
    except ValueError as error:
        raise ValueError(f"{file} cannot be used: {error}") from error


def _refuse_repeated(keys: Iterable[Any]) -> None:
    if repeated := [key for key, count in Counter(keys).items() if count > 1]:
        raise ValueError(f"it repeats {list_headers(repeated)}. Keep one entry of each.")


def _prepare(file: Path, folder: Path, options: Mapping[str, Any]) -> PreparedImportFile:
    with file.open("rb") as source:
        return prepare_import_file(source, folder, PrepareOptions(**options))


def _propose(file: Path, options: Mapping[str, Any]) -> dict[str, Entry]:
    """Print the proposed mapping of a file, and return it."""
    headers, rows = _read_beginning(file, options)
    mapping = propose_mapping(headers, rows)
    # Template columns need no entry.
    lines = [mapping_line(header, entry) for header, entry in mapping.items() if header != entry]
    if lines:
        print(f"A proposed mapping for {len(lines):,} of {len(headers):,} headers, used below. Check it:")
        print("\n".join(["    column_mapping={", *(f"        {line}" for line in lines), "    },"]))
    if others := [place for place, header in enumerate(headers) if header not in mapping]:
        print("No proposal for these headers. Map those that you need, or filter rows by their values:")
        for place in others[:MAX_HEADERS]:
            print(f"    {quote(headers[place])}{_describe(row[place] for row in rows if place < len(row))}")
        if len(others) > MAX_HEADERS:
            print(f"    and {len(others) - MAX_HEADERS:,} more")
    if lines or others:
        print(flush=True)
    return mapping


def _describe(cells: Iterable[str]) -> str:
    """Return the most common cells below a header, for a message."""
    counts = Counter(filter(None, map(str.strip, cells)))
    if not counts:
        return ""
    shown = ", ".join(quote(shorten(cell, 40, placeholder="...")) for cell, _ in counts.most_common(MAX_VALUES))
    return f": {shown}{f' and {len(counts) - MAX_VALUES:,} more' * (len(counts) > MAX_VALUES)}"


def _read_beginning(file: Path, options: Mapping[str, Any]) -> tuple[Sequence[str], list[list[str]]]:
    """Return the headers and the first rows of a file; empty if it is an RVTools export."""
    with file.open("rb") as source, tempfile.TemporaryDirectory() as folder:
        table = open_table(source, Path(folder), names_servers, PrepareOptions(**options))
        if isinstance(table, Path):
            return [], []
        try:
            return table.header, [record.cells for record in islice(table, SAMPLE_ROWS)]
        except ImportFileError:
            # Preparing the file raises the same error again, and then it is reported.
            return table.header, []


if __name__ == "__main__":
    sys.exit(main())
