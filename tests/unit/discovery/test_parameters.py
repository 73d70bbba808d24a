from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ads.discovery.parameters import (
    check_client_request_token,
    check_ec2_recommendations,
    check_export_ids,
    check_import_task_ids,
    check_import_url,
    check_max_failed_records,
    check_name,
    check_poll_interval,
    import_urls_by_name,
    quote,
    summarize_ids,
)

ID = "import-task-0123456789abcdef0123456789ABCDEF"


class TestChecks:
    @pytest.mark.parametrize(
        ("check", "value"),
        [
            *((check_name, name) for name in ("x" * 255, " a ")),
            *((check_import_url, url) for url in ("https://bucket.s3.amazonaws.com/a b@c.csv", "s3://b/ k")),
            *((check_client_request_token, token) for token in ("t", "t" * 100)),
            *((check_max_failed_records, limit) for limit in (None, 0, 25)),
        ],
    )
    def test_a_valid_value_is_returned(self, check: Any, value: Any) -> None:
        assert check(value) == value

    def test_digits_that_jinja_rendered_as_a_number_become_a_string_again(self) -> None:
        assert (check_name(2026), check_client_request_token(7)) == ("2026", "7")

    @pytest.mark.parametrize(("rendered", "limit"), [("10", 10), ("None", None)])
    def test_a_limit_that_jinja_rendered_as_a_string_becomes_a_number_again(
        self, rendered: str, limit: int | None
    ) -> None:
        assert check_max_failed_records(rendered) == limit

    @pytest.mark.parametrize("name", ["", "  \t", "x" * 256, None, 7.0, True])
    def test_an_invalid_name_is_refused(self, name: Any) -> None:
        with pytest.raises(ValueError, match="name must be a string of 1 to 255 characters that is not blank"):
            check_name(name)

    @pytest.mark.parametrize(
        "url", ["bucket/key.csv", "s3://bucket", "s3://bucket/", "s3:///key", "s3://b/" + "k" * 3994, None]
    )
    def test_an_invalid_url_is_refused(self, url: Any) -> None:
        with pytest.raises(ValueError, match=r"s3://bucket/key.*4,000 characters"):
            check_import_url(url)

    @pytest.mark.parametrize(
        "url", ["HTTPS://bucket.example/key.csv?X-Amz-Signature=SECRET", "http://me:SECRET@host/key"]
    )
    def test_a_url_that_can_contain_a_secret_is_refused_without_quoting_it(self, url: str) -> None:
        with pytest.raises(ValueError, match="import_url must not contain a query or a user") as error:
            check_import_url(url)
        assert "SECRET" not in str(error.value)

    @pytest.mark.parametrize("token", ["", "t" * 101, None])
    def test_an_invalid_token_is_refused_and_not_quoted(self, token: Any) -> None:
        with pytest.raises(ValueError, match="client_request_token must be a string of 1 to 100") as error:
            check_client_request_token(token)
        assert "ttt" not in str(error.value)

    @pytest.mark.parametrize("ids", [ID, [ID], (ID,), iter([ID]), {ID: 1}.keys()])
    def test_one_id_or_any_iterable_of_ids_is_accepted(self, ids: Any) -> None:
        assert check_import_task_ids(ids) == [ID]

    def test_order_and_repetitions_of_ids_are_kept(self) -> None:
        other = "import-task-" + "0" * 32
        assert check_import_task_ids([ID, other, ID]) == [ID, other, ID]

    def test_a_value_that_looks_like_a_name_suggests_the_name_parameter(self) -> None:
        with pytest.raises(ValueError, match=r"^Use name='cmdb-2026-11-25' of AdsImportTaskSensor instead of"):
            check_import_task_ids("cmdb-2026-11-25")

    @pytest.mark.parametrize("ids", ["import-task-1", "", None, 7, [None], [ID, "x"], f"{ID}\n", []])
    def test_invalid_or_no_ids_are_refused(self, ids: Any) -> None:
        message = "empty list" if ids == [] else "'import-task-' followed by 32 hexadecimal digits"
        with pytest.raises(ValueError, match=message):
            check_import_task_ids(ids)

    @pytest.mark.parametrize(
        "text",
        [
            *(f"['{ID}']", f"('{ID}',)", f"{{'{ID}'}}", f"dict_keys(['{ID}'])", f"frozenset({{'{ID}'}})"),
            *("LazyXComSequence(...)", "<LazyXCom>"),
        ],
    )
    def test_a_rendered_list_gets_advice(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"pass the task's \.output"):
            check_import_task_ids(text)
        with pytest.raises(ValueError, match=r"pass the task's \.output.*render_template_as_native_obj=True"):
            check_import_url(text.replace(ID, "s3://bucket/key"))

    @pytest.mark.parametrize("limit", [-1, 1.5, "-3", "1.5", "", True])
    def test_an_invalid_limit_is_refused(self, limit: Any) -> None:
        with pytest.raises(ValueError, match="max_failed_records must be a whole number of 0 or more, or None"):
            check_max_failed_records(limit)

    @pytest.mark.parametrize(("poll_interval", "seconds"), [(0.5, 0.5), (60, 60), (timedelta(minutes=1), 60)])
    def test_a_valid_poll_interval_is_returned_in_seconds(self, poll_interval: Any, seconds: float) -> None:
        assert check_poll_interval(poll_interval) == seconds

    @pytest.mark.parametrize("poll_interval", [0, -1, float("nan"), float("inf"), "60", timedelta(0)])
    def test_an_invalid_poll_interval_is_refused(self, poll_interval: Any) -> None:
        with pytest.raises(ValueError, match="poll interval must be more than 0 seconds"):
            check_poll_interval(poll_interval)


class TestImportUrlsByName:
    def test_an_error_about_a_name_that_is_too_long_names_the_file(self) -> None:
        with pytest.raises(ValueError, match=r"at most 255\. Shorten name='cmdb', or rename the file 'xxx"):
            import_urls_by_name("cmdb", ["s3://bucket/" + "x" * 300])

    @pytest.mark.parametrize(
        ("import_url", "name"),
        [
            ("s3://bucket/part-0001.csv", "cmdb-part-0001"),
            ("s3://bucket/2026.11/servers.v1.2.zip", "cmdb-servers.v1.2"),
            ("s3://bucket/servers", "cmdb-servers"),
            ("s3://bucket/folder/", "cmdb-folder"),
            ("s3://bucket/servers?a#1.csv", "cmdb-servers?a#1"),
            ("https://bucket.s3.amazonaws.com/servers.csv", "cmdb-servers"),
        ],
    )
    def test_a_name_ends_with_that_of_the_file_without_its_extension(self, import_url: str, name: str) -> None:
        assert import_urls_by_name("cmdb", [import_url]) == {name: import_url}

    def test_lists_in_the_list_become_part_of_it(self) -> None:
        urls = ["s3://bucket/b.csv", "s3://bucket/a.csv", "s3://bucket/c.csv"]
        assert list(import_urls_by_name("cmdb", [urls[0], (urls[1],), [], iter(urls[2:])]).values()) == urls
        with pytest.raises(ValueError, match="import_url must consist of a scheme"):
            import_urls_by_name("cmdb", [[urls]])

    def test_a_name_can_have_as_many_characters_as_the_service_accepts(self) -> None:
        assert import_urls_by_name("n" * 253, ["s3://bucket/1.csv"])
        with pytest.raises(ValueError, match=r"256 characters, but the service accepts at most 255.*the file '1'"):
            import_urls_by_name("n" * 254, ["s3://bucket/1.csv"])


def test_quoted_values_are_short() -> None:
    assert quote("a\n") == r"'a\n'"
    assert len(quote("x" * 1_000_000)) < 150


def test_ids_are_summarized() -> None:
    assert summarize_ids([ID]) == ID
    assert summarize_ids([ID] * 3) == f"{ID} and 2 more"


class TestExports:
    def test_ids_of_any_form_are_accepted(self) -> None:
        assert check_export_ids("export-1") == ["export-1"]
        assert check_export_ids(iter(["x" * 200, "/"])) == ["x" * 200, "/"]

    @pytest.mark.parametrize("ids", [[], "", "a b", "x" * 201, [None], 7])
    def test_an_invalid_export_id_is_refused(self, ids: Any) -> None:
        with pytest.raises(ValueError, match="An export id must have 1 to 200 characters and no whitespace; got"):
            check_export_ids(ids)

    @pytest.mark.parametrize("preferences", [None, {}, {"preferredRegion": "us-west-2"}])
    def test_preferences_are_returned(self, preferences: Any) -> None:
        assert check_ec2_recommendations(preferences) == preferences

    @pytest.mark.parametrize("preferences", [True, "us-west-2", ["us-west-2"], {"enabled": True}])
    def test_preferences_that_are_not_a_dictionary_or_contain_enabled_are_refused(self, preferences: Any) -> None:
        with pytest.raises(ValueError, match=r"ec2_recommendations must be a dictionary such as .* without 'enabled'"):
            check_ec2_recommendations(preferences)
