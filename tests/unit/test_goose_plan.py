"""Which files are run, in which order; and what is refused before anything runs."""

import pytest

from refactorkit.errors import RefusedError, UsageError
from refactorkit.migrations.history import AppliedRow, History
from refactorkit.migrations.model import Migration
from refactorkit.migrations.parser import parse
from refactorkit.migrations.plan import Step, missing, pending, plan_down, plan_redo, plan_up

SOUND = "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n"
UP_BROKEN = "-- +goose Up\nSELECT 1\n-- +goose Down\nSELECT 2;\n"
DOWN_BROKEN = "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2\n"


def files(*versions: int, **broken: str) -> tuple[Migration, ...]:
    """Files of these versions; ``v3=UP_BROKEN`` gives version 3 another text."""
    return tuple(
        parse(broken.get(f"v{v}", SOUND).encode(), file=f"{v:04}_x.sql", environ={})
        for v in versions
    )


def history(*versions: int) -> History:
    """Versions applied in this order."""
    rows = [AppliedRow(id=n, version=v, applied=True) for n, v in enumerate((0, *versions))]
    return History(rows=tuple(rows))


def short(steps: tuple[Step, ...]) -> list[str]:
    return [f"{step.direction} {step.migration.version}" for step in steps]


def up(
    migrations: tuple[Migration, ...],
    applied: History,
    *,
    to: int | None = None,
    allow_missing: bool = False,
) -> list[str]:
    return short(plan_up(migrations, applied, to=to, allow_missing=allow_missing))


class TestUp:
    def test_pending_files_are_run_in_order(self) -> None:
        assert up(files(1, 2, 3), history(1)) == ["up 2", "up 3"]

    def test_a_database_without_a_table_gets_everything(self) -> None:
        assert up(files(1, 2), History()) == ["up 1", "up 2"]

    def test_a_target_is_included(self) -> None:
        assert up(files(1, 2, 3), history(1), to=2) == ["up 2"]

    def test_a_target_need_not_be_a_file(self) -> None:
        assert up(files(1, 2, 9), history(1), to=5) == ["up 2"]

    def test_nothing_is_planned_where_nothing_is_pending(self) -> None:
        assert up(files(1, 2), history(1, 2)) == []
        assert up(files(1, 2, 3), history(1, 2), to=1) == []

    def test_applied_versions_without_a_file_are_ignored(self) -> None:
        assert up(files(2, 4), history(1, 2, 3)) == ["up 4"]

    def test_missing_files_are_refused_and_named(self) -> None:
        with pytest.raises(RefusedError) as caught:
            up(files(1, 2, 3, 4, 5), history(1, 4))
        assert "0002_x.sql, 0003_x.sql" in caught.value.message
        assert "version 4" in caught.value.message
        assert "0005_x.sql" not in caught.value.message
        assert caught.value.state == "Nothing was changed."
        assert "--allow-missing" in caught.value.hint

    def test_missing_files_are_run_first_where_they_are_allowed(self) -> None:
        assert up(files(1, 2, 3, 4, 5), history(1, 4), allow_missing=True) == [
            "up 2",
            "up 3",
            "up 5",
        ]

    def test_missing_files_above_the_target_do_not_count(self) -> None:
        assert up(files(1, 2, 3, 4), history(1, 2, 4), to=2) == []

    def test_the_highest_applied_version_decides_what_is_missing_not_the_current_one(self) -> None:
        with pytest.raises(RefusedError, match=r"0003_x\.sql"):
            up(files(1, 2, 3, 4), history(1, 4, 2))

    def test_a_version_that_was_taken_back_is_pending(self) -> None:
        rows = (*history(1, 2).rows, AppliedRow(id=9, version=2, applied=False))
        assert up(files(1, 2), History(rows=rows)) == ["up 2"]

    @pytest.mark.parametrize("to", [None, 0, 4])
    def test_no_file_to_choose_from_is_a_usage_error(self, to: int | None) -> None:
        with pytest.raises(UsageError, match="no migration file"):
            up(files(5) if to is not None else (), history(), to=to)

    def test_a_broken_file_that_would_be_run_is_refused_before_anything_runs(self) -> None:
        with pytest.raises(RefusedError, match=r"0003_x\.sql:2: ") as caught:
            up(files(1, 2, 3, v3=UP_BROKEN), history(1))
        assert caught.value.state == "Nothing was changed."

    def test_a_file_may_be_broken_where_it_is_not_run(self) -> None:
        assert up(files(1, 2, 3, v1=UP_BROKEN, v3=UP_BROKEN), history(1), to=2) == ["up 2"]
        assert up(files(1, v1=DOWN_BROKEN), history()) == ["up 1"]

    def test_a_statement_with_a_nul_byte_is_refused(self) -> None:
        text = "-- +goose Up\nSELECT 1;\nDELETE FROM t\0 WHERE id = 1;\n"
        with pytest.raises(RefusedError, match=r"0001_x\.sql:3: .* NUL byte"):
            up(files(1, v1=text), history())

    def test_a_table_that_makes_no_sense_is_refused(self) -> None:
        rows = (AppliedRow(id=1, version=0, applied=False),)
        with pytest.raises(RefusedError, match="none of them"):
            up(files(1), History(rows=rows))

    def test_pending_and_missing_can_be_asked_for(self) -> None:
        migrations = files(1, 2, 3, 4)
        assert [m.version for m in pending(migrations, history(1, 3))] == [2, 4]
        assert [m.version for m in missing(migrations, history(1, 3))] == [2]


class TestDown:
    def test_the_version_applied_last_is_taken_back(self) -> None:
        assert short(plan_down(files(1, 2), history(1, 2), to=None)) == ["down 2"]
        assert short(plan_down(files(1, 2, 3), history(1, 3, 2), to=None)) == ["down 2"]

    def test_a_target_is_not_included(self) -> None:
        steps = plan_down(files(1, 2, 3), history(1, 2, 3), to=1)
        assert short(steps) == ["down 3", "down 2"]

    def test_down_to_0_takes_everything_back(self) -> None:
        steps = plan_down(files(1, 2), history(1, 2), to=0)
        assert short(steps) == ["down 2", "down 1"]

    def test_the_order_is_that_of_applying_backwards(self) -> None:
        steps = plan_down(files(1, 2, 3), history(1, 3, 2), to=0)
        assert short(steps) == ["down 2", "down 3", "down 1"]

    def test_it_ends_at_the_first_version_not_above_the_target(self) -> None:
        assert plan_down(files(1, 2, 3), history(1, 3, 2), to=2) == ()

    @pytest.mark.parametrize("to", [0, 2, 9])
    def test_nothing_is_planned_where_the_database_is_below_the_target(self, to: int) -> None:
        assert plan_down(files(1, 2), history(), to=to) == ()

    @pytest.mark.parametrize("applied", [History(), history()])
    def test_one_step_down_from_version_0_is_refused(self, applied: History) -> None:
        with pytest.raises(RefusedError, match="at version 0"):
            plan_down(files(1), applied, to=None)

    @pytest.mark.parametrize("to", [None, 0, 1, 2])
    def test_an_applied_version_without_a_file_is_refused(self, to: int | None) -> None:
        with pytest.raises(RefusedError, match="Version 2 is applied, and no file"):
            plan_down(files(1, 3), history(1, 2), to=to)

    def test_a_later_one_without_a_file_is_refused_before_anything_runs(self) -> None:
        with pytest.raises(RefusedError, match="Version 1 is applied, and no file"):
            plan_down(files(2), history(1, 2), to=0)

    def test_one_below_the_target_may_be_without_a_file_where_it_is_not_reached(self) -> None:
        steps = plan_down(files(2, 3), history(1, 2, 3), to=2)
        assert short(steps) == ["down 3"]

    def test_a_broken_file_is_refused(self) -> None:
        with pytest.raises(RefusedError, match=r"0001_x\.sql:4: "):
            plan_down(files(1, 2, v1=DOWN_BROKEN), history(1, 2), to=0)

    def test_a_file_may_be_broken_where_it_is_not_run(self) -> None:
        steps = plan_down(files(1, 2, v1=DOWN_BROKEN, v2=UP_BROKEN), history(1, 2), to=1)
        assert short(steps) == ["down 2"]

    @pytest.mark.parametrize("to", [None, 0])
    def test_no_files_are_a_usage_error(self, to: int | None) -> None:
        with pytest.raises(UsageError, match="no migration file"):
            plan_down((), history(1), to=to)

    @pytest.mark.parametrize("to", [None, 0])
    def test_a_table_that_makes_no_sense_is_refused(self, to: int | None) -> None:
        rows = (AppliedRow(id=1, version=1, applied=False),)
        with pytest.raises(RefusedError, match="none of them"):
            plan_down(files(1), History(rows=rows), to=to)


class TestRedo:
    def test_the_version_applied_last_goes_down_and_up(self) -> None:
        assert short(plan_redo(files(1, 2, 3), history(1, 3, 2))) == ["down 2", "up 2"]

    @pytest.mark.parametrize("text", [UP_BROKEN, DOWN_BROKEN])
    def test_a_file_that_is_broken_either_way_is_refused(self, text: str) -> None:
        with pytest.raises(RefusedError, match=r"0001_x\.sql:"):
            plan_redo(files(1, v1=text), history(1))

    def test_a_version_without_a_file_is_refused(self) -> None:
        with pytest.raises(RefusedError, match="Version 2 is applied, and no file"):
            plan_redo(files(1), history(1, 2))

    def test_version_0_cannot_be_done_again(self) -> None:
        with pytest.raises(RefusedError, match="at version 0"):
            plan_redo(files(1), history())

    def test_no_files_are_a_usage_error(self) -> None:
        with pytest.raises(UsageError, match="no migration file"):
            plan_redo((), history(1))
