"""The application of version 11, as far as a drill needs one: it writes, and it is remembered what.

Plain INSERT, UPDATE and DELETE, as an application sends them. Triggers that someone put on the
tables stay quiet meanwhile: on a copy of a production database they might write letters.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, LiteralString, cast

from psycopg import sql

from refactorkit.postgres.connection import Connection, fetch_value

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "users": ("id",),
    "assessments": ("id",),
    "refresh_tokens": ("id",),
    "user_clinics": ("user_id", "clinic_id"),
    "clinics": ("id",),
    "audit_events": ("id",),
    "notification_queue": ("id",),
}
_HANG_ON_USERS: Final[tuple[LiteralString, ...]] = (
    "assessments", "refresh_tokens", "user_clinics", "notification_queue",
)  # fmt: skip
_TRIGGERS: Final = """
    SELECT n.nspname, c.relname, t.tgname, t.tgenabled::text
    FROM pg_trigger AS t
    JOIN pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND n.nspname = 'public'
    ORDER BY 1, 2, 3
"""
_STATES: Final[Mapping[str, LiteralString]] = {
    "O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA",
}  # fmt: skip

Value = str | int | None
Key = tuple[int, ...]


@dataclass
class Application:
    """Writes rows and remembers which.

    Attributes:
        connection: to write on.
        touched: the keys of the rows that were made, changed or deleted, by table; rows that went
            with a deleted one, too.
        made: the ids that the sequences gave out for new users.
    """

    connection: Connection
    touched: dict[str, set[Key]] = field(default_factory=dict)
    made: list[int] = field(default_factory=list)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Write in one transaction, with triggers switched off as long as it lasts."""
        with self.connection.transaction():
            triggers = self.connection.execute(_TRIGGERS).fetchall()
            for schema, table, name, _ in triggers:
                self._switch(schema, table, name, "DISABLE")
            yield
            for schema, table, name, state in triggers:
                self._switch(schema, table, name, _STATES[state])

    def now(self) -> datetime:
        """Return the present time as the server has it."""
        now = fetch_value(self.connection, "SELECT date_trunc('second', clock_timestamp())")
        return cast("datetime", now)

    def insert(self, table: LiteralString, values: Mapping[str, Value]) -> int:
        """Add a row; return the first column of its key."""
        key = KEYS[table]
        row = self.connection.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
                sql.Identifier("public", table),
                _names(values),
                sql.SQL(", ").join(sql.Placeholder() * len(values)),
                _names(key),
            ),
            list(values.values()),
        ).fetchone()
        made: Key = tuple(row) if row is not None else ()
        self._touch(table, made)
        if table == "users":
            self.made.append(made[0])
        return made[0]

    def update(self, table: LiteralString, key: Key | int, values: Mapping[str, Value]) -> None:
        """Change columns of a row."""
        whole = _key(key)
        self._touch(table, whole)
        self.connection.execute(
            sql.SQL("UPDATE {} SET {} WHERE {}").format(
                sql.Identifier("public", table),
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder())
                    for column in values
                ),
                _where(table),
            ),
            [*values.values(), *whole],
        )

    def delete(self, table: LiteralString, key: Key | int) -> None:
        """Delete a row; what hangs on a user goes with it."""
        whole = _key(key)
        self._touch(table, whole)
        if table == "users":
            for hanging in _HANG_ON_USERS:
                query = sql.SQL("SELECT {} FROM {} WHERE user_id = %s").format(
                    _names(KEYS[hanging]), sql.Identifier("public", hanging)
                )
                for row in self.connection.execute(query, whole).fetchall():
                    self._touch(hanging, tuple(row))
        self.connection.execute(
            sql.SQL("DELETE FROM {} WHERE {}").format(
                sql.Identifier("public", table), _where(table)
            ),
            whole,
        )

    def _touch(self, table: str, key: Key) -> None:
        self.touched.setdefault(table, set()).add(key)

    def _switch(self, schema: str, table: str, trigger: str, how: LiteralString) -> None:
        self.connection.execute(
            sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
                sql.Identifier(schema, table), sql.SQL(how), sql.Identifier(trigger)
            )
        )


def _key(key: Key | int) -> Key:
    return (key,) if isinstance(key, int) else key


def _names(columns: Mapping[str, Value] | tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _where(table: str) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder())
        for column in KEYS[table]
    )
