"""A database under test, read and written in the model's terms."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import psycopg
from psycopg import sql
from psycopg.types.string import TextLoader

from refactorkit.migrations.files import read_folder
from refactorkit.migrations.model import Direction
from refactorkit.postgres import erasure
from refactorkit.postgres.erasure import Authority
from refactorkit.postgres.refactors import last_turn
from tests.support import scripts
from tests.support.chain import SQL
from tests.support.model.columns import TABLES, Row, Value
from tests.support.model.world import Decision, Key, Table, World

BEFORE_REFACTOR, REFACTOR = 10, 11
# What a row is deleted and updated by.
KEYS: Mapping[str, tuple[str, ...]] = {"user_clinics": ("user_id", "clinic_id")}
EMPTY = (
    b"TRUNCATE public.users, public.patients, public.assessments, public.refresh_tokens,"
    b" public.user_clinics, public.clinics, public.audit_events, public.model_runs"
    b" RESTART IDENTITY"
)


@cache
def statements(direction: str) -> tuple[str, ...]:
    """Return the statements of one direction of 0011, in order."""
    migration = next(m for m in read_folder(SQL, environ=os.environ) if m.version == REFACTOR)
    script = migration.script(Direction(direction))
    assert script.error is None
    return tuple(statement.text for statement in script.statements)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault to plant in one direction: one text of the migration instead of another."""

    direction: str
    # Spaces and line breaks are alike.
    old: str
    new: str
    # How often the text is met; 0 stands for any number but none.
    times: int = 1

    def planted(self, direction: str, texts: Sequence[str]) -> tuple[str, ...]:
        """Return the statements with the fault in them; a text that is not met is an error."""
        if direction != self.direction:
            return tuple(texts)
        old = re.compile(r"\s+".join(map(re.escape, self.old.split())))
        met = sum(len(old.findall(text)) for text in texts)
        if met != self.times and not (met and self.times == 0):
            raise LookupError(f"0011 says {met} times, and not {self.times}: {self.old!r}")
        return tuple(old.sub(lambda _: self.new, text) for text in texts)


class Live:
    """One database: its rows as the model has them, writes, and turns as plain goose makes them."""

    def __init__(self, connection: psycopg.Connection, faults: Sequence[Fault] = ()) -> None:
        self.connection = connection
        self._faults = faults
        for name in ("timestamptz", "numeric", "date"):
            connection.adapters.register_loader(name, TextLoader)
        connection.execute("SET TIME ZONE 'UTC'")

    def turn(self, direction: str, settings: Mapping[str, str] | None = None) -> str:
        """Run one direction as plain goose would, in one transaction; return its now()."""
        texts = statements(direction)
        for fault in self._faults:
            texts = fault.planted(direction, texts)
        with self.connection.transaction():
            for name, value in (settings or {}).items():
                self.connection.execute(
                    sql.SQL("SET LOCAL {} = {}").format(
                        sql.Identifier("refactorkit", name), sql.Literal(value)
                    )
                )
            for text in texts:
                self.connection.execute(text.encode())
            return str(self.value("SELECT now()"))

    def erase(self, patient_id: int) -> None:
        """Erase a person as `archive erase` does."""
        authority = Authority(basis="a ticket", approved_by="somebody", operator="else")
        turn = last_turn(self.connection, "patients")
        assert turn is not None
        assert turn.mapping is not None
        with self.connection.transaction():
            erasure.erase(self.connection, turn, turn.mapping, patient_id, authority)

    def visit(self, version: int) -> None:
        """Go from version 10 down to another one and up again, as plain goose would."""
        for step in range(BEFORE_REFACTOR, version, -1):
            scripts.down(self.connection, step)
        for step in range(version + 1, BEFORE_REFACTOR + 1):
            scripts.up(self.connection, step)

    def load(self, world: World) -> None:
        """Fill an empty database with the world's rows."""
        self.connection.execute(EMPTY)
        for table, rows in world.tables.items():
            self._insert(table, TABLES[world.version][table], list(rows.values()))

    def insert(self, table: str, row: Row) -> None:
        """Insert one row, with these columns."""
        self._insert(table, tuple(row), [row])

    def update(self, table: str, key: Key, values: Row) -> None:
        """Update columns of one row."""
        self._update("public", table, key, values)

    def update_archived(self, table: str, key: Key, values: Row) -> None:
        """Update columns of one row of a table that lies in the archive."""
        self._update("archive", table, key, values)

    def _update(self, schema: str, table: str, key: Key, values: Row) -> None:
        self.connection.execute(
            sql.SQL("UPDATE {} SET {} WHERE {}").format(
                sql.Identifier(schema, table),
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
                    for name, value in values.items()
                ),
                _where(table, key),
            )
        )

    def delete(self, table: str, key: Key) -> None:
        """Delete one row."""
        self.connection.execute(
            sql.SQL("DELETE FROM public.{} WHERE {}").format(
                sql.Identifier(table), _where(table, key)
            )
        )

    def tables(self, version: int) -> dict[str, Table]:
        """Read every table of this version."""
        return {table: self._read(table, columns) for table, columns in TABLES[version].items()}

    def pairs(self) -> dict[int, int]:
        """Read which patient is which user."""
        query = "SELECT source_id, target_id FROM archive.patients_map"
        return dict(self.connection.execute(query).fetchall())

    def decisions(self) -> set[Decision]:
        """Read what gave way in the last turn, in users and patients."""
        query = (
            "SELECT table_name, row_id::integer, column_name, kept_value, lost_value"
            " FROM archive.patients_decisions WHERE table_name IN ('users', 'patients')"
            " AND turn = (SELECT max(turn) FROM archive.patients_turns)"
        )
        return {
            Decision(table=table, row_id=key, column=column, kept=kept, lost=lost)
            for table, key, column, kept, lost in self.connection.execute(query)
        }

    def last_values(self) -> dict[str, int]:
        """Read the highest id that each sequence has given out, or will not give out any more."""
        found = {}
        for name in ("users", "patients"):
            (schema,) = self.connection.execute(
                "SELECT schemaname FROM pg_sequences WHERE sequencename = %s", [f"{name}_id_seq"]
            ).fetchall()[0]
            found[name] = self.value(
                sql.SQL(
                    "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {}"
                ).format(sql.Identifier(schema, f"{name}_id_seq"))
            )
        return found

    def set_sequence(self, table: str, last: int, *, called: bool = True) -> None:
        """Place the sequence of a table of `public`."""
        self.connection.execute(
            "SELECT setval(%s, %s, %s)", [f"public.{table}_id_seq", last, called]
        )

    def next_id(self, table: str) -> int:
        """Take an id of a table of `public` from its sequence, past rows that are in its way."""
        while True:
            key = self.value(
                sql.SQL("SELECT nextval({})").format(sql.Literal(f"public.{table}_id_seq"))
            )
            living = sql.SQL("SELECT count(*) FROM public.{} WHERE id = {}").format(
                sql.Identifier(table), sql.Literal(key)
            )
            if self.value(living) == 0:
                return int(key)

    def value(self, query: sql.Composed | str) -> int:
        """Return the one value of a query."""
        text = query.encode() if isinstance(query, str) else query
        row = self.connection.execute(text).fetchone()
        assert row is not None
        found: int = row[0]
        return found

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        self.connection.execute(
            sql.SQL(
                "INSERT INTO public.{table} ({names}) SELECT {names}"
                " FROM json_populate_recordset(NULL::public.{table}, {rows})"
            ).format(table=sql.Identifier(table), names=names, rows=sql.Literal(json.dumps(rows)))
        )

    def _read(self, table: str, columns: Sequence[str]) -> Table:
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        query = sql.SQL("SELECT {} FROM public.{}").format(names, sql.Identifier(table))
        found: Table = {}
        for values in self.connection.execute(query):
            row: dict[str, Value] = dict(zip(columns, values, strict=True))
            key = tuple(row[name] for name in KEYS.get(table, ("id",)))
            found[key if len(key) > 1 else key[0]] = row  # type: ignore[index]
        return found


def _where(table: str, key: Key) -> sql.Composed:
    names = KEYS.get(table, ("id",))
    values = key if isinstance(key, tuple) else (key,)
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
        for name, value in zip(names, values, strict=True)
    )
