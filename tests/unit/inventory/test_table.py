from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.inventory.table import AmbiguousFileError, Question, find_header, is_title, unique_headers


def test_all_questions_are_asked_at_once() -> None:
    error = AmbiguousFileError([Question("What is it?", ("a=1,", "a=2,")), Question("And this?", ("b=1,",))])
    assert str(error) == "What is it?\n    a=1,\n    a=2,\nAnd this?\n    b=1,"


def test_the_header_is_the_first_possible_row_below_shorter_ones() -> None:
    def is_header(cells: object) -> bool:
        return "Name" in str(cells)

    assert find_header([["Servers", ""], ["Name", "IP"]], is_header) == 1
    assert find_header([["Servers", "of", "us"], ["Name", "IP"]], is_header) is None
    assert find_header([["x"]] * 20 + [["Name", "IP"]], is_header) is None


def test_a_title_has_fewer_filled_cells_than_the_header() -> None:
    assert is_title(["Inventory", " ", ""], ["Name", "IP"])
    assert not is_title(["web1", "10.0.0.1"], ["Name", "IP", ""])


@pytest.mark.parametrize(
    ("cells", "headers"),
    [
        (["Name", " IP\n"], ["Name", "IP"]),
        (["IP", "IP", "IP"], ["IP", "IP.1", "IP.2"]),
        (["IP", "IP", "IP.1"], ["IP", "IP.2", "IP.1"]),
        (["IP.1", "IP", "IP "], ["IP.1", "IP", "IP.2"]),
        (["Name", "IP", ""], ["Name", "IP", "Unnamed: 2"]),
    ],
)
def test_names_headers_as_pandas_does(cells: list[str], headers: list[str]) -> None:
    assert unique_headers(cells) == headers


@settings(deadline=None)
@given(st.lists(st.sampled_from(["IP", "IP.1", "IP.2", "OS", "IP.1.1", ""]), min_size=2, max_size=8))
def test_names_random_headers_as_pandas_does(cells: list[str]) -> None:
    pandas = pytest.importorskip("pandas")
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    assert unique_headers(cells) == list(pandas.read_csv(io.StringIO(text.getvalue()), dtype=str).columns)
