"""The folder of migrations: names, order, duplicates, new files."""

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from refactorkit.errors import FailedError, RefusedError, UsageError
from refactorkit.migrations.files import migration_paths, new_file, read_folder
from refactorkit.migrations.names import is_sequential, is_timestamp, read_name, snake_case

NOW = datetime(2026, 7, 4, 1, 2, 3, tzinfo=UTC)


def folder(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).write_text("-- +goose Up\nSELECT 1;\n")
    return directory


def versions(directory: Path) -> list[int]:
    return [migration.version for migration in read_folder(directory, environ={})]


class TestNames:
    @pytest.mark.parametrize(
        ("file", "version", "name"),
        [
            ("0010_admin_features.sql", 10, "admin_features"),
            ("1_a.sql", 1, "a"),
            ("007_.sql", 7, ""),
            ("20260704010203_a.b.sql", 20260704010203, "a.b"),
            ("+5_x.sql", 5, "x"),
            ("9223372036854775807_x.sql", 2**63 - 1, "x"),
            ("0000000000000000000000000000001_x.sql", 1, "x"),
        ],
    )
    def test_the_version_is_the_number_before_the_first_underscore(
        self, file: str, version: int, name: str
    ) -> None:
        read = read_name(file)
        assert (read.version, read.name) == (version, name)

    @pytest.mark.parametrize(
        ("file", "why"),
        [
            ("0001.sql", "no underscore"),
            ("init.sql", "no underscore"),
            (".sql", "no underscore"),
            ("_x.sql", "not a decimal number"),
            ("a_x.sql", "not a decimal number"),
            ("0x1_x.sql", "not a decimal number"),
            (" 1_x.sql", "not a decimal number"),
            ("1 _x.sql", "not a decimal number"),
            ("1.0_x.sql", "not a decimal number"),
            ("\u0661_x.sql", "not a decimal number"),
            ("0_x.sql", "below 1"),
            ("-0_x.sql", "below 1"),
            ("-1_x.sql", "below 1"),
            ("-99999999999999999999_x.sql", "below 1"),
            ("9223372036854775808_x.sql", "above 9223372036854775807"),
            ("9" * 5000 + "_x.sql", "above 9223372036854775807"),
            ("0001_x.SQL", "does not end in .sql"),
        ],
    )
    def test_any_other_name_is_refused_and_told_why(self, file: str, why: str) -> None:
        with pytest.raises(RefusedError) as caught:
            read_name(file)
        assert why in caught.value.message
        assert caught.value.state == "Nothing was changed."

    @pytest.mark.parametrize(
        ("version", "timestamp", "sequential"),
        [
            (1, False, True),
            (20060102150405, True, False),
            (19700101000000, False, False),
            (19700101000001, True, False),
            (19691231235959, False, True),
            (20060230000000, False, True),
            (20060102240000, False, True),
            (2006010215040, False, True),
            (200601021504050, False, True),
        ],
    )
    def test_a_timestamp_is_a_date_after_1970(
        self, version: int, timestamp: bool, sequential: bool
    ) -> None:
        assert is_timestamp(version) is timestamp
        assert is_sequential(version) is sequential

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("add_visits", "add_visits"),
            ("Add visits, again!", "add_visits_again"),
            ("  -- AddVisits -- ", "addvisits"),
            ("../../etc/passwd", "etc_passwd"),
            ("Übersicht №5", "übersicht_5"),
            ("İ", "i"),
            ("?!", ""),
        ],
    )
    def test_a_description_becomes_snake_case(self, text: str, expected: str) -> None:
        assert snake_case(text) == expected


class TestFolder:
    def test_files_are_sorted_by_version_as_numbers(self, tmp_path: Path) -> None:
        folder(tmp_path, "10_j.sql", "9_i.sql", "0002_b.sql", "20260704010203_t.sql", "1_a.sql")
        assert versions(tmp_path) == [1, 2, 9, 10, 20260704010203]

    def test_only_sql_files_of_the_folder_itself_count(self, tmp_path: Path) -> None:
        folder(tmp_path, "0001_a.sql", "0002_b.SQL", "0003_c.sql.bak", "notes.txt", "README")
        (tmp_path / "sub").mkdir()
        folder(tmp_path / "sub", "0004_d.sql")
        assert versions(tmp_path) == [1]

    def test_an_empty_folder_has_no_migrations(self, tmp_path: Path) -> None:
        assert read_folder(tmp_path, environ={}) == ()

    def test_a_broken_file_is_among_the_others(self, tmp_path: Path) -> None:
        folder(tmp_path, "0001_a.sql")
        (tmp_path / "0002_b.sql").write_text("SELECT 1;\n")
        broken = read_folder(tmp_path, environ={})[1]
        assert broken.up.error is not None
        assert broken.up.error.startswith("0002_b.sql:1: ")

    def test_variables_reach_the_files(self, tmp_path: Path) -> None:
        (tmp_path / "1_a.sql").write_text("-- +goose ENVSUB ON\n-- +goose Up\n$V;\n")
        (migration,) = read_folder(tmp_path, environ={"V": "x"})
        assert [statement.text for statement in migration.up.statements] == ["x;"]

    def test_every_bad_name_is_named(self, tmp_path: Path) -> None:
        folder(tmp_path, "0001_a.sql", "init.sql", "0_zero.sql")
        with pytest.raises(RefusedError) as caught:
            read_folder(tmp_path, environ={})
        assert "'init.sql'" in caught.value.message
        assert "'0_zero.sql'" in caught.value.message
        assert "0001_a.sql" not in caught.value.message

    def test_versions_with_several_files_are_refused_and_all_files_named(
        self, tmp_path: Path
    ) -> None:
        folder(tmp_path, "0001_a.sql", "1_b.sql", "2_c.sql", "3_d.sql", "03_e.sql")
        with pytest.raises(RefusedError) as caught:
            read_folder(tmp_path, environ={})
        assert "version 1 has 2 files: '0001_a.sql', '1_b.sql'" in caught.value.message
        assert "version 3 has 2 files: '03_e.sql', '3_d.sql'" in caught.value.message
        assert "2_c.sql" not in caught.value.message

    def test_a_missing_folder_is_a_usage_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="does not exist") as caught:
            read_folder(tmp_path / "sql", environ={})
        assert "--dir" in caught.value.hint

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        folder(tmp_path, "0001_a.sql")
        with pytest.raises(UsageError, match="is not a folder"):
            read_folder(tmp_path / "0001_a.sql", environ={})

    def test_a_folder_named_like_a_file_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "0001_a.sql").mkdir()
        with pytest.raises(FailedError, match=r"0001_a\.sql' could not be read"):
            read_folder(tmp_path, environ={})

    def test_a_link_to_nowhere_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "0001_a.sql").symlink_to(tmp_path / "gone")
        with pytest.raises(FailedError, match=r"0001_a\.sql' could not be read"):
            read_folder(tmp_path, environ={})

    def test_a_name_that_is_no_utf8_is_shown_escaped(self, tmp_path: Path) -> None:
        try:
            (tmp_path / os.fsdecode(b"\xff.sql")).touch()
        except OSError:
            pytest.skip("this file system only takes names in UTF-8")
        with pytest.raises(RefusedError) as caught:
            read_folder(tmp_path, environ={})
        assert r"'\udcff.sql'" in caught.value.message

    def test_paths_are_listed_whatever_their_names_are(self, tmp_path: Path) -> None:
        folder(tmp_path, "b.sql", "0001_a.sql", "c.txt")
        assert [path.name for path in migration_paths(tmp_path)] == ["0001_a.sql", "b.sql"]


class TestNewFile:
    def test_a_new_file_has_the_time_in_utc_for_a_version(self, tmp_path: Path) -> None:
        now = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
        path = new_file(tmp_path, "Add visits", sequential=False, now=now)
        assert path == tmp_path / "20260704010203_add_visits.sql"

    def test_a_new_file_has_both_blocks_and_can_be_read(self, tmp_path: Path) -> None:
        path = new_file(tmp_path, "add visits", sequential=False, now=NOW)
        assert path.read_bytes() == (
            b"-- +goose Up\nSELECT 'up SQL query';\n\n-- +goose Down\nSELECT 'down SQL query';\n"
        )
        (migration,) = read_folder(tmp_path, environ={})
        assert (migration.up.error, migration.down.error) == (None, None)

    @pytest.mark.parametrize(
        ("there", "expected"),
        [
            ([], "00001_x.sql"),
            (["00009_i.sql"], "00010_x.sql"),
            (["0009_i.sql", "0010_j.sql"], "0011_x.sql"),
            (["9_i.sql"], "10_x.sql"),
            (["9999_i.sql"], "10000_x.sql"),
            (["20260704010203_t.sql"], "00001_x.sql"),
            (["0003_c.sql", "20260704010203_t.sql"], "0004_x.sql"),
            (["19691231235959_old.sql"], "19691231235960_x.sql"),
        ],
    )
    def test_a_sequential_version_follows_the_highest_that_is_no_timestamp(
        self, tmp_path: Path, there: list[str], expected: str
    ) -> None:
        folder(tmp_path, *there)
        assert new_file(tmp_path, "x", sequential=True, now=NOW).name == expected

    def test_a_version_that_is_there_already_is_not_made_again(self, tmp_path: Path) -> None:
        new_file(tmp_path, "one", sequential=False, now=NOW)
        with pytest.raises(RefusedError, match="version 20260704010203 has 2 files"):
            new_file(tmp_path, "two", sequential=False, now=NOW)
        assert len(migration_paths(tmp_path)) == 1

    def test_an_existing_file_is_not_written_over(self, tmp_path: Path) -> None:
        path = new_file(tmp_path, "one", sequential=False, now=NOW)
        path.write_text("mine")
        with pytest.raises((RefusedError, FailedError)):
            new_file(tmp_path, "one", sequential=False, now=NOW)
        assert path.read_text() == "mine"

    def test_there_is_no_version_after_the_last(self, tmp_path: Path) -> None:
        folder(tmp_path, "9223372036854775807_x.sql")
        with pytest.raises(RefusedError, match="above 9223372036854775807"):
            new_file(tmp_path, "y", sequential=True, now=NOW)

    def test_a_description_without_a_letter_is_a_usage_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no letter and no digit"):
            new_file(tmp_path, "!?", sequential=True, now=NOW)

    def test_a_missing_folder_is_a_usage_error(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="does not exist"):
            new_file(tmp_path / "sql", "x", sequential=False, now=NOW)

    def test_a_bad_name_in_the_folder_is_refused(self, tmp_path: Path) -> None:
        folder(tmp_path, "init.sql")
        with pytest.raises(RefusedError, match=r"init\.sql"):
            new_file(tmp_path, "x", sequential=True, now=NOW)
