from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.inventory.cells import InvalidCell
from airflow_provider_ads.inventory.columns import MappedColumn
from airflow_provider_ads.inventory.lists import ApplicationsConverter, TagsConverter, add_tags, check_tags, join_lists
from airflow_provider_ads.inventory.placeholders import PLACEHOLDERS


def applications(**options: Any) -> ApplicationsConverter:
    return ApplicationsConverter(MappedColumn("App", "Applications", **options), PLACEHOLDERS)


def tags(**options: Any) -> TagsConverter:
    return TagsConverter(MappedColumn("Labels", "Tags", **options), PLACEHOLDERS)


def answers(converter: ApplicationsConverter | TagsConverter) -> list[str]:
    return [answer for question in converter.questions() for answer in question.answers]


class TestApplications:
    @pytest.mark.parametrize(
        ("cell", "names"),
        [
            ("CRM", "CRM"),
            ("CRM,ERP", "CRM, ERP"),
            ("CRM, ERP", "CRM, ERP"),
            ("CRM, CRM, n/a, ", "CRM"),
            ("CRM (old)", "CRM (old)"),
            ("CI/CD", "CI/CD"),
            ("Unknown", ""),
        ],
    )
    def test_commas_separate_names(self, cell: str, names: str) -> None:
        tested = applications()
        assert tested.convert_all([cell]) == [names]
        assert answers(tested) == []

    @pytest.mark.parametrize(
        ("cell", "separator"),
        [
            ("CRM||ERP", "||"),
            ("CRM;ERP", ";"),
            ("CRM | ERP", "|"),
            ("CRM\nERP", "\\n"),
            ("CRM / ERP", " / "),
            ("CRM<br>ERP", "<br>"),
            ("TSSS (Spotfire, R and TERR)", ","),
        ],
    )
    def test_other_separators_cause_a_question(self, cell: str, separator: str) -> None:
        tested = applications()
        tested.convert_all([cell])
        assert answers(tested) == [
            f'"App": {{"column": "Applications", "separator": "{separator}"}},',
            '"App": {"column": "Applications", "separator": None},',
        ]

    @pytest.mark.parametrize(
        ("separator", "cell", "names"),
        [
            ("||", "CRM||ERP", "CRM, ERP"),
            (";", "CRM; ;ERP", "CRM, ERP"),
            ("X", "CRMXERP", "CRM, ERP"),
            (None, "CRM;ERP", "CRM;ERP"),
            (",", "A (b, c)", "A (b, c)"),
        ],
    )
    def test_the_separator_of_the_mapping_is_used(self, separator: str | None, cell: str, names: str) -> None:
        tested = applications(separator=separator)
        assert tested.convert_all([cell]) == [names]
        assert answers(tested) == []

    @pytest.mark.parametrize("separator", [None, ";"])
    def test_a_name_with_a_comma_is_invalid(self, separator: str | None) -> None:
        (reason,) = applications(separator=separator).convert_all(["TSSS (Spotfire, R and TERR)"])
        assert isinstance(reason, InvalidCell)
        assert reason.endswith(" contains a comma, which AWS reads as the end of a name.")


@pytest.mark.parametrize(
    ("converter", "cell"),
    [
        (applications(separator=";"), "CRM;ERP|HR"),
        (applications(separator="|"), "ERP;HR"),
        (applications(separator="||"), "CRM||ERP|HR"),
        (applications(separator=","), "CRM,ERP\nHR"),
        (tags(separator=";"), "env:prod;tier:web|app:crm"),
        (tags(separator="|", pair_separator="="), "env=prod;tier=web"),
    ],
)
def test_an_item_with_another_separator_is_invalid(converter: ApplicationsConverter | TagsConverter, cell: str) -> None:
    (reason,) = converter.convert_all([cell])
    assert isinstance(reason, InvalidCell)
    assert "which might be a separator too" in reason


def test_one_value_of_a_tag_can_contain_another_separator() -> None:
    assert tags(separator=",").convert_all(["note:a;b,env:prod"]) == ["note:a;b, env:prod"]


@pytest.mark.parametrize("converter", [applications(), applications(separator=","), tags(), tags(tag="app")])
@pytest.mark.parametrize("cell", ['["CRM", "ERP"]', '["CRM"]', '{"env":"prod"}'])
def test_json_is_invalid(converter: ApplicationsConverter | TagsConverter, cell: str) -> None:
    (reason,) = converter.convert_all([cell])
    assert isinstance(reason, InvalidCell)
    assert f"{cell!r} is JSON." in reason


class TestTags:
    @pytest.mark.parametrize(
        ("options", "cell", "expected"),
        [
            ({}, "env:prod", "env:prod"),
            ({}, "env : prod,tier:web", "env:prod, tier:web"),
            ({}, "env:prod, env:test", "env:prod, env:test"),
            ({}, "url:http://x", "url:http://x"),
            ({}, "-", ""),
            ({"separator": ";"}, "env:prod;tier:web;", "env:prod, tier:web"),
            ({"pair_separator": "="}, "env=prod,q=a=b", "env:prod, q:a=b"),
            ({"separator": ";", "pair_separator": "="}, "env=prod;tier=web", "env:prod, tier:web"),
            ({"tag": "environment"}, "prod", "environment:prod"),
            ({"tag": "environment"}, "a:b", "environment:a:b"),
            ({"tag": "environment"}, "n/a", ""),
        ],
    )
    def test_tags_get_the_form_of_the_template(self, options: dict[str, str], cell: str, expected: str) -> None:
        tested = tags(**options)
        assert tested.convert_all([cell]) == [expected]
        assert answers(tested) == []

    @pytest.mark.parametrize(
        ("options", "cell"),
        [
            ({}, "prod web"),
            ({}, "env:"),
            ({}, ":prod"),
            ({"separator": ";"}, "a:b,c"),
            ({"tag": "environment"}, "prod, test"),
            ({"pair_separator": "="}, "a:b=c"),
        ],
    )
    def test_anything_else_is_invalid(self, options: dict[str, str], cell: str) -> None:
        (reason,) = tags(**options).convert_all([cell])
        assert isinstance(reason, InvalidCell)
        assert "does not have the form name:value" in reason

    def test_a_server_has_at_most_30(self) -> None:
        cells = [", ".join(f"t{number}:x" for number in range(count)) for count in (30, 31)]
        valid, reason = tags().convert_all(cells)
        assert valid == cells[0]
        assert isinstance(reason, InvalidCell)
        assert reason == "The server has 31 tags; the maximum is 30."

    @pytest.mark.parametrize(
        ("cell", "options"),
        [
            ("env:prod;tier:web", ['"separator": ";"', '"separator": None']),
            ("env=prod", ['"pair_separator": "="']),
            (
                "env=prod;tier=web",
                ['"pair_separator": "=", "separator": ";"', '"pair_separator": "=", "separator": None'],
            ),
        ],
    )
    def test_other_separators_cause_a_question(self, cell: str, options: list[str]) -> None:
        tested = tags()
        tested.convert_all([cell])
        assert answers(tested) == [f'"Labels": {{"column": "Tags", {each}}},' for each in options]


def test_lists_of_several_headers_are_joined_without_duplicates() -> None:
    assert join_lists(["10.0.0.1, 10.0.0.2", "", "10.0.0.2, 10.0.0.3"]) == "10.0.0.1, 10.0.0.2, 10.0.0.3"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", ("source:cmdb, run:1", False)),
        ("env:prod", ("env:prod, source:cmdb, run:1", False)),
        ("source:cmdb", ("source:cmdb, run:1", False)),
        ("source:own, a:1, a:2", ("source:own, a:1, a:2, run:1", True)),
    ],
)
def test_a_tag_of_the_row_takes_precedence_over_an_added_one(cell: str, expected: tuple[str, bool]) -> None:
    assert add_tags(cell, {"source": "cmdb", "run": "1"}) == expected


@pytest.mark.parametrize("value", ["a:b", [("a", "b")], {"a": 1}, {"a": ""}, {" ": "b"}, {"a:b": "c"}, {"a": "b,c"}])
def test_tags_that_cannot_be_expressed_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^tags must "):
        check_tags(value)


def test_without_a_separator_a_list_of_tags_is_invalid_in_any_batch() -> None:
    converter = TagsConverter(MappedColumn("Labels", "Tags", separator=None), PLACEHOLDERS)
    cell = "env:prod, tier:web"
    for cells in ([cell], [cell, "=x"]):
        assert isinstance(converter.convert_all(cells)[0], InvalidCell)


def test_many_separators_in_a_tag_take_no_time() -> None:
    converter = TagsConverter(MappedColumn("Labels", "Tags", separator=",", pair_separator="="), PLACEHOLDERS)
    cell = "a=" + ";" * 100_000
    assert converter.convert_all([cell]) == [f"a:{';' * 100_000}"]


def test_an_error_of_libreoffice_is_empty_in_any_batch() -> None:
    for cells in (["Err:502"], ["Err:502", "=x:1"]):
        assert tags().convert_all(cells)[0] == ""


@pytest.mark.parametrize("converter", [applications(), tags(), tags(tag="app")])
def test_items_that_have_lost_characters_are_invalid(converter: ApplicationsConverter | TagsConverter) -> None:
    (reason,) = converter.convert_all(["team:B\ufffdro"])
    assert isinstance(reason, InvalidCell)
    assert "has lost characters" in reason
