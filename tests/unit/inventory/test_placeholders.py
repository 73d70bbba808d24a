from __future__ import annotations

import pytest

from airflow_provider_ads.inventory.placeholders import PLACEHOLDERS, check_na_values, clean_cell, placeholders_of


def test_na_values_match_cells_that_contain_unseen_characters() -> None:
    placeholders = placeholders_of("OS", check_na_values(["k.\u00a0A."]), False)
    assert clean_cell("k.\u00a0A.", placeholders) == ""
    assert clean_cell("k. A.", placeholders) == ""


def test_na_values_apply_to_all_headers_or_to_one() -> None:
    everywhere = check_na_values(["Missing"])
    assert clean_cell("missing", placeholders_of("Name", everywhere, True)) == ""
    of_name = check_na_values({"Name": ["DHCP"]})
    assert clean_cell("DHCP", placeholders_of("Name", of_name, True)) == ""
    assert clean_cell("DHCP", placeholders_of("IP", of_name, True)) == "DHCP"


def test_the_defaults_can_be_disabled() -> None:
    only = placeholders_of("Name", check_na_values(["x"]), False)
    assert [clean_cell(cell, only) for cell in ("N/A", "X", "")] == ["N/A", "", ""]


@pytest.mark.parametrize(
    "cell", ["nil", "Unassigned", "(Leer)", "unbekannt", "Err:502", "Microsoft.HyperV.PowerShell.VMGuest[]"]
)
def test_errors_types_and_words_for_nothing_are_placeholders(cell: str) -> None:
    assert clean_cell(cell, PLACEHOLDERS) == ""
    assert clean_cell(cell, frozenset()) == cell


@pytest.mark.parametrize("cell", ["Err:5020", "list[]", "a.b[0]", "Error"])
def test_similar_cells_are_not_placeholders(cell: str) -> None:
    assert clean_cell(cell, PLACEHOLDERS) == cell


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("web\u200b1", "web1"),
        ("\u200eweb1\u200e", "web1"),
        ("\u202aweb1\u202c", "web1"),
        ("web\u00ad1\u2060", "web1"),
        ("SAP\u00a0ERP", "SAP ERP"),
        ("n/a\u200e", ""),
        ("ن\u200cو", "ن\u200cو"),
        ("東京\u30001", "東京\u30001"),
    ],
)
def test_characters_that_nobody_sees_are_removed(cell: str, text: str) -> None:
    assert clean_cell(cell, PLACEHOLDERS) == text


@pytest.mark.parametrize("value", ["x", [1], {"Name": "x"}, 5])
def test_another_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^na_values must be a list of strings"):
        check_na_values(value)
