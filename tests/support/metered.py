"""A database under test whose every Down is measured first, and compared with what was foretold."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from refactorkit.postgres.refactors import last_turns
from refactorkit.postgres.rollback import measure
from refactorkit.postgres.rollback_figures import Measured
from refactorkit.postgres.verification import snapshot
from tests.support.model.columns import CARRIED, Row
from tests.support.model.live import Fault, Live
from tests.support.model.world import Table

LIVING = ("users", "assessments", "refresh_tokens", "user_clinics", "notification_queue")


class ForetoldOtherwiseError(AssertionError):
    """Down did something else than was foretold."""


def foretell(connection: psycopg.Connection, settings: Mapping[str, str]) -> Measured:
    """Measure what Down of the only refactor would do; settings are without `refactorkit.`."""
    given = {f"refactorkit.{name}": value for name, value in settings.items()}
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    with snapshot(connection, pin_times=False) if idle else _savepoint(connection):
        (turn,) = last_turns(connection)
        assert turn.mapping is not None
        return measure(connection, turn.mapping, settings=given)


@contextmanager
def _savepoint(connection: psycopg.Connection) -> Iterator[None]:
    """Stand in for the snapshot within a test's own transaction; no setting outlives it."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        yield


def stopped_by(error: psycopg.Error, told: Measured) -> set[str]:
    """Return those of the foretold constraints that an error names: the server's or Down's."""
    said = f"{error.diag.message_primary} constraint {error.diag.constraint_name} of"
    return {
        each.constraint for each in told.obstacles if f"constraint {each.constraint} of" in said
    }


class MeteredLive(Live):
    """Foretells each Down, runs it, and holds every figure to what it did."""

    def __init__(self, connection: psycopg.Connection, faults: Sequence[Fault] = ()) -> None:
        super().__init__(connection, faults)
        self.measured: list[Measured] = []

    def turn(self, direction: str, settings: Mapping[str, str] | None = None) -> str:
        if direction == "up":
            return super().turn(direction, settings)
        told = foretell(self.connection, settings or {})
        self.measured.append(told)
        before = {name: table for name, table in self.tables(11).items() if name in LIVING}
        before["patients"] = self.archived()
        try:
            now = super().turn(direction, settings)
        except psycopg.Error as error:
            if error.diag.message_primary == told.sentence or stopped_by(error, told):
                raise
            raise ForetoldOtherwiseError(f"{error.sqlstate}, and not {told}") from None
        if told.sentence or told.obstacles or told.unknown:
            raise ForetoldOtherwiseError(f"Down ran, and not {told}")
        seen, said = self.what_down_did(before), figures_of(told)
        if seen != said:
            differing = {name: (said.get(name), found) for name, found in seen.items()}
            raise ForetoldOtherwiseError(
                {name: pair for name, pair in differing.items() if pair[0] != pair[1]}
            )
        return now

    def archived(self) -> Table:
        """Read the patients that lie in the archive, as text."""
        return _as_text(self.connection, "archive", "patients")

    def what_down_did(self, before: Mapping[str, Table]) -> dict[str, object]:
        """Find out from the rows before and after, and from what the archive says of this turn."""
        after = self.tables(10)
        raw = _as_text(self.connection, "public", "patients")
        moved = {key: raw[key] for key in before["patients"] if key in raw}
        pairs = self._rows(
            "SELECT source_id, target_id FROM archive.patients_map WHERE kind = 'native'"
            " AND turn = (SELECT max(turn) FROM archive.patients_turns)"
        )
        columns = [column.source for column in CARRIED]
        changed = {
            key: [name for name in columns if row[name] != before["patients"][key][name]]
            for key, row in moved.items()
        }
        assessments = [
            (row["user_id"], after["assessments"][key]["patient_id"])
            for key, row in before["assessments"].items()
            if key in after["assessments"]
        ]
        users = [(row, after["users"].get(key)) for key, row in before["users"].items()]
        stayed = [(row, then) for row, then in users if then is not None]
        withheld = dict(self._this_turn("withheld_patients", "refactorkit_reason"))
        kept = dict(self._this_turn("kept_users", "refactorkit_kind"))
        return {
            "pairs": len(before["patients"]),
            "restored": len(moved),
            "unchanged": sum(row == before["patients"][key] for key, row in moved.items()),
            "merged": sum(bool(names) for names in changed.values()),
            "merged columns": Counter(name for names in changed.values() for name in names),
            "reowned": sum(
                row["user_id"] != before["patients"][key]["user_id"] for key, row in moved.items()
            ),
            "created": len(raw) - len(moved),
            "renumbered": sum(patient != user for patient, user in pairs),
            "withheld": (withheld.get("soft", 0), withheld.get("hard", 0)),
            "leaving": len(users) - len(stayed),
            "natives": len(after["users"]),
            "cleared": sum(
                row["created_by"] is not None and then["created_by"] is None for row, then in stayed
            ),
            "kept": (kept.get("subject", 0), kept.get("native", 0)),
            "assessments": (
                len(before["assessments"]),
                sum(row["user_id"] is None for row in before["assessments"].values()),
                sum(count for _, count in self._this_turn("withheld_assessments", "''")),
                sum(user is not None and user != patient for user, patient in assessments),
                len(
                    self._rows(
                        "SELECT 1 FROM archive.patients_kept_assessments"
                        " WHERE turn = (SELECT max(turn) FROM archive.patients_turns)"
                    )
                ),
            ),
            **{
                name: (
                    len(before[name]),
                    sum(count for _, count in self._this_turn(f"kept_{name}", "''")),
                )
                for name in ("refresh_tokens", "user_clinics")
            },
            "notification_queue": len(self._rows("SELECT 1 FROM archive.notification_queue")),
            "decisions": Counter(
                self._rows(
                    "SELECT rule, table_name, column_name FROM archive.patients_decisions"
                    " WHERE turn = (SELECT max(turn) FROM archive.patients_turns)"
                )
            ),
            "switched off": sum(
                row["is_active"] is True and then["is_active"] is False for row, then in stayed
            ),
            "other roles": sum(row["role"] != then["role"] for row, then in stayed),
            "rights given": sum(
                row["is_admin"] is True and then["role"] != "admin" for row, then in stayed
            ),
        }

    def _this_turn(self, table: str, label: str) -> list[tuple[str, int]]:
        return self._rows(  # type: ignore[return-value]
            f"SELECT {label}, count(*) FROM archive.patients_{table} WHERE refactorkit_turn ="
            " (SELECT max(turn) FROM archive.patients_turns) GROUP BY 1"
        )

    def _rows(self, query: str) -> list[tuple[object, ...]]:
        return self.connection.execute(query.encode()).fetchall()


def figures_of(told: Measured) -> dict[str, object]:
    """Return what was foretold in the shape of `what_down_did`."""
    figures = told.figures
    assert figures is not None
    (link,) = figures.links
    rules: Counter[tuple[str, str, str]] = Counter()
    for each in told.decisions:
        rules[each.rule, each.table, each.column] += each.count
    return {
        "pairs": figures.pairs,
        "restored": figures.restored,
        "unchanged": figures.unchanged,
        "merged": figures.merged,
        "merged columns": Counter(figures.merged_columns),
        "reowned": figures.reowned,
        "created": figures.created,
        "renumbered": figures.renumbered,
        "withheld": (figures.withheld_soft, figures.withheld_hard),
        "leaving": figures.leaving,
        "natives": figures.natives,
        "cleared": sum(figures.cleared.values()),
        "kept": (figures.kept_subjects, figures.kept_natives),
        link.table: (link.rows, link.without_person, link.withheld, link.relinked, link.kept),
        **{each.table: (each.rows, each.kept) for each in figures.dependants},
        "notification_queue": figures.new_tables["notification_queue"],
        "decisions": rules,
        "switched off": figures.deactivated,
        "other roles": figures.rights_taken,
        "rights given": figures.rights_given,
    }


def _as_text(connection: psycopg.Connection, schema: str, table: str) -> Table:
    """Read a table with an `id`, every value as the server writes it."""
    found: Table = {}
    query = sql.SQL(
        "SELECT t.id, a.name, to_jsonb(t) ->> a.name FROM {}.{} AS t,"
        " LATERAL jsonb_object_keys(to_jsonb(t)) AS a (name)"
    ).format(sql.Identifier(schema), sql.Identifier(table))
    for key, name, value in connection.execute(query):
        row: Row = found.setdefault(key, {})
        row[name] = value
    return found
