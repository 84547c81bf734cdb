"""Salts: 32 random bytes for each person, made for many rows at a time.

People's come from this system's random source: 256 bits each. Those of the archive's other rows,
which are few, the server makes of two random UUIDs: 244 bits, without pgcrypto, and at twice the
cost. A salt that was derived from a master key could not be erased alone.
"""

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final

from psycopg import sql

from refactorkit.evidence.leaf import (
    FIRST_FIELD,
    KEY_OFFSET,
    NUMBER_BYTES,
    SALT_BYTES,
    Form,
    row_head,
)
from refactorkit.evidence.manifest import Places
from refactorkit.postgres.canonical import form_of, key_text
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.digests import COPY_HEADER, COPY_TRAILER, pinned_texts
from refactorkit.postgres.evidence_tables import NATIVE_SALTS, ROW_SALTS, SALTS, EvidenceTables
from refactorkit.postgres.labels import identifier, split

_BLOCK: Final = 4096
_FULL: Final = 4 * 2**20  # bytes: fewer than what memory holds of the file
_COPY_BYTES: Final = 2**18
_TWO_FIELDS: Final = struct.pack(">H", 2)
_SALT_LENGTH: Final = struct.pack(">I", SALT_BYTES)
_FILL: Final = """
    INSERT INTO {salts} (table_name, row_key, salt)
    SELECT {label}, m.key, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
    FROM (
        SELECT DISTINCT {key} AS key
        FROM {table} AS t
        WHERE NOT EXISTS (
            SELECT FROM {salts} AS z WHERE z.table_name = {label} AND z.row_key = {key})
    ) AS m
"""


def are_none(connection: Connection, places: Places) -> bool:
    """Tell whether no row of the source has a salt yet."""
    salts = EvidenceTables(name=places.name).identifier(SALTS)
    return not fetch_value(connection, sql.SQL("SELECT EXISTS (SELECT FROM {})").format(salts))


@dataclass(frozen=True, kw_only=True)
class NewSalts:
    """Salts that wait until no COPY is running any more, outside memory where they are many.

    Attributes:
        file: without a name.
    """

    file: IO[bytes]

    def mending(self, form: Form) -> Callable[[bytes], bytes]:
        """Return what gives a row of this form, whose key is one number, a new salt."""
        head, width = row_head(form), 4 + NUMBER_BYTES[form.columns[0].type]

        def mend(row: bytes) -> bytes:
            salt, rest = os.urandom(SALT_BYTES), row[FIRST_FIELD + 4 :]  # where NULL stands
            self.file.write(_TWO_FIELDS + _SALT_LENGTH + salt + rest[:width])
            return head + salt + rest

        return mend

    def anew(
        self, found: Iterator[bytes], form: Form, *, full: Callable[[], object]
    ) -> Iterator[bytes]:
        """Yield each row, which has no field for a salt, with a new salt in front.

        As ``mending``, where no row has one: many at a time, and none of them touches the disk.

        Args:
            found: rows of the form, whose key is one number.
            form: of the rows.
            full: is to store what waits, on another connection than that of the rows.
        """
        head, end_of_key = row_head(form), KEY_OFFSET + 4 + NUMBER_BYTES[form.columns[0].type]
        waiting: list[bytes] = []
        add = waiting.append  # a million times: each look-up counts
        while True:
            pool = os.urandom(SALT_BYTES * _BLOCK)
            for start, row in zip(range(0, len(pool), SALT_BYTES), found, strict=False):
                salted = head + pool[start : start + SALT_BYTES] + row[FIRST_FIELD:]
                add(salted[FIRST_FIELD:end_of_key])
                yield salted
            if not waiting:
                return
            self.file.write(_TWO_FIELDS + _TWO_FIELDS.join(waiting))
            waiting.clear()
            if self.file.tell() >= _FULL:
                full()

    def store(self, connection: Connection, table: sql.Identifier, column: str) -> bool:
        """Store all of them and forget them; return whether there were any."""
        is_any = self.file.tell() > 0
        if is_any:
            self.file.seek(0)
            statement = sql.SQL("COPY {} (salt, {}) FROM STDIN (FORMAT BINARY)").format(
                table, sql.Identifier(column)
            )
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(COPY_HEADER)
                while block := self.file.read(_COPY_BYTES):
                    copy.write(block)
                copy.write(COPY_TRAILER)
        self.file.seek(0)
        self.file.truncate()
        return is_any


def make_row_salts(connection: Connection, places: Places, form: Form) -> int:
    """Give a salt to every row of one of the archive's other tables; return how many were made."""
    return connection.execute(
        sql.SQL(_FILL).format(
            key=key_text(form.columns),
            table=identifier(form.table),
            salts=EvidenceTables(name=places.name).identifier(ROW_SALTS),
            label=sql.Literal(form.table),
        )
    ).rowcount


def forget(connection: Connection, name: str, *, source_id: int, target_id: int | None) -> int:
    """Erase a person's salts, and those of rows of the archive that are no more.

    For an erasure, in its transaction, after the rows are gone. The leaves stay, so that every root
    still verifies, and say nothing any more.

    Args:
        connection: to the database.
        name: of the refactor.
        source_id: of the person.
        target_id: of the person's row in the target, where there is or was one.

    Returns:
        How many salts were erased.
    """
    tables = EvidenceTables(name=name)
    if not tables.are_there(connection):
        return 0
    erased = 0
    for suffix, column, value in (
        (SALTS, "source_id", source_id),
        (NATIVE_SALTS, "target_id", target_id),
    ):
        erased += connection.execute(
            sql.SQL("DELETE FROM {} WHERE {} = %s").format(
                tables.identifier(suffix), sql.Identifier(column)
            ),
            (value,),
        ).rowcount
    with pinned_texts(connection):
        return erased + _forget_rows(connection, tables)


def _forget_rows(connection: Connection, tables: EvidenceTables) -> int:
    """Erase the salts of rows of the archive that are no more; their keys are texts."""
    salts, erased = tables.identifier(ROW_SALTS), 0
    labels = connection.execute(
        sql.SQL("SELECT DISTINCT table_name FROM {}").format(salts)
    ).fetchall()
    for (label,) in labels:
        table = identifier(label)
        gone = fetch_value(connection, "SELECT to_regclass(%s) IS NULL", (table.as_string(),))
        if gone:
            continue
        form = form_of(connection, *split(label))
        erased += connection.execute(
            sql.SQL(
                "DELETE FROM {} AS z WHERE z.table_name = %s"
                " AND NOT EXISTS (SELECT FROM {} AS t WHERE {} = z.row_key)"
            ).format(salts, table, key_text(form.columns)),
            (label,),
        ).rowcount
    return erased
