"""The archive's tables of evidence: salts, leaves, signed manifests.

    <name>_salts         a salt of 32 bytes for each row of the source: the person's
    <name>_native_salts  one for each row of the target that is nobody's pair
    <name>_row_salts     one for each row of the archive's other tables
    <name>_leaves        hashes and keys of the leaves, 4096 a row: no value, and no salt
    <name>_evidence      each signed manifest, a copy: the one that counts lies elsewhere

Erasing a person's salt makes their leaves say nothing, and leaves every root as it is. Whoever may
write to these tables, or plant a trigger on them, could make evidence of something else, so nothing
is written to one that is not this role's alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.evidence.leaf import Form, Key, KeyKind
from refactorkit.evidence.sections import Section
from refactorkit.postgres.connection import Connection, fetch_value

SALTS, NATIVE_SALTS, ROW_SALTS = "salts", "native_salts", "row_salts"
LEAVES, EVIDENCE = "leaves", "evidence"
SUFFIXES: Final = (SALTS, NATIVE_SALTS, ROW_SALTS, LEAVES, EVIDENCE)
_CREATE: Final = """
    CREATE TABLE IF NOT EXISTS {salts} (
        source_id {source_type} NOT NULL,
        salt bytea NOT NULL CHECK (octet_length(salt) = 32)
    );
    CREATE TABLE IF NOT EXISTS {native_salts} (
        target_id {target_type} PRIMARY KEY,
        salt bytea NOT NULL CHECK (octet_length(salt) = 32)
    );
    CREATE TABLE IF NOT EXISTS {row_salts} (
        table_name text NOT NULL,
        row_key text NOT NULL,
        salt bytea NOT NULL CHECK (octet_length(salt) = 32),
        PRIMARY KEY (table_name, row_key)
    );
    CREATE TABLE IF NOT EXISTS {leaves} (
        snapshot uuid NOT NULL,
        table_name text NOT NULL,
        section integer NOT NULL,
        keys bytea NOT NULL,
        leaves bytea NOT NULL,
        PRIMARY KEY (snapshot, table_name, section)
    );
    ALTER TABLE {leaves} ALTER COLUMN keys SET STORAGE EXTERNAL,
        ALTER COLUMN leaves SET STORAGE EXTERNAL;
    CREATE TABLE IF NOT EXISTS {evidence} (
        snapshot uuid PRIMARY KEY,
        turn integer NOT NULL,
        made_at timestamp with time zone NOT NULL DEFAULT now(),
        digest text NOT NULL,
        envelope bytea NOT NULL
    );
"""
_HAS_KEY: Final = """
    SELECT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = %s::regclass AND i.indisprimary)
"""
# Ours alone: this role's, or, once hardened, that of a role which has no other member and no login.
_IS_OURS: Final = """
    SELECT n.nspowner = r.oid OR (
        NOT o.rolcanlogin AND NOT o.rolsuper AND pg_has_role(r.oid, o.oid, 'MEMBER')
        AND (r.rolsuper OR NOT EXISTS (
            SELECT FROM pg_roles AS x
            WHERE x.oid NOT IN (o.oid, r.oid) AND NOT x.rolsuper
                AND pg_has_role(x.oid, o.oid, 'MEMBER'))))
    FROM pg_namespace AS n
    JOIN pg_roles AS o ON o.oid = n.nspowner
    CROSS JOIN pg_roles AS r
    WHERE n.nspname = 'archive' AND r.rolname = current_user
"""
_FOREIGN: Final = """
    SELECT format('%%s belongs to %%s, and not to %%s', c.oid::regclass, c.relowner::regrole,
        current_user)
    FROM pg_class AS c
    WHERE c.oid = ANY (%(tables)s::regclass[])
        AND c.relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
    UNION ALL
    SELECT format('%%s is not a plain table, or has rules, policies or children', c.oid::regclass)
    FROM pg_class AS c
    WHERE c.oid = ANY (%(tables)s::regclass[])
        AND (c.relkind <> 'r' OR c.relrowsecurity OR c.relhasrules OR EXISTS (
            SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent)))
    UNION ALL
    SELECT format('%%s has the trigger %%I', t.tgrelid::regclass, t.tgname)
    FROM pg_trigger AS t
    WHERE NOT t.tgisinternal AND t.tgrelid = ANY (%(tables)s::regclass[])
    ORDER BY 1
    LIMIT 1
"""
_GRANTEES: Final = """
    SELECT DISTINCT c.relname, r.rolname
    FROM pg_class AS c
    CROSS JOIN LATERAL aclexplode(c.relacl) AS x
    LEFT JOIN pg_roles AS r ON r.oid = x.grantee
    WHERE c.oid = ANY (%s::regclass[]) AND x.grantee <> c.relowner
"""


@dataclass(frozen=True, kw_only=True)
class EvidenceTables:
    """The tables of one refactor's evidence.

    Attributes:
        name: the refactor's prefix.
    """

    name: str

    def identifier(self, suffix: str) -> sql.Identifier:
        """Return the SQL name of one of them."""
        return sql.Identifier("archive", f"{self.name}_{suffix}")

    @property
    def labels(self) -> tuple[str, ...]:
        """Their names, with the schema."""
        return tuple(f"archive.{self.name}_{suffix}" for suffix in SUFFIXES)

    @property
    def salt_labels(self) -> tuple[str, ...]:
        """The names of the tables of salts."""
        return tuple(f"archive.{self.name}_{suffix}" for suffix in (SALTS, NATIVE_SALTS, ROW_SALTS))

    def are_there(self, connection: Connection) -> bool:
        """Tell whether evidence was ever kept in this database."""
        return self._is_there(connection, EVIDENCE)

    def has_leaves(self, connection: Connection) -> bool:
        """Tell whether the table of the leaves is there."""
        return self._is_there(connection, LEAVES)

    def _is_there(self, connection: Connection, suffix: str) -> bool:
        label = f"archive.{self.name}_{suffix}"
        return bool(
            fetch_value(connection, "SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (label,))
        )

    def has_row_salt(self, connection: Connection, table: str, form: Form, key: Key) -> bool:
        """Tell whether there is a salt for a row of one of the archive's other tables."""
        parts = [
            str(int.from_bytes(value, signed=True))
            if kind is KeyKind.NUMBER and value is not None
            else value and value.decode()
            for kind, value in zip(form.key, key, strict=True)
        ]
        found = connection.execute(
            sql.SQL("SELECT FROM {} WHERE table_name = %s AND row_key = (%s::text[])::text").format(
                self.identifier(ROW_SALTS)
            ),
            (table, parts),
        )
        return found.rowcount > 0

    def create(self, connection: Connection, *, source_type: str, target_type: str) -> None:
        """Make the tables that are not there yet, for nobody but this role.

        A new table of people's salts has no key before ``add_salts_key``.

        Raises:
            RefusedError: schema archive or one of the tables is not this role's alone.
        """
        if not fetch_value(connection, _IS_OURS):
            raise _refused("schema archive does not belong to this role")
        connection.execute(
            sql.SQL(_CREATE).format(
                source_type=sql.SQL(source_type),  # integer or bigint, as the catalog says
                target_type=sql.SQL(target_type),
                **{suffix: self.identifier(suffix) for suffix in SUFFIXES},
            )
        )
        tables = list(self.labels)
        planted = connection.execute(_FOREIGN, {"tables": tables}).fetchone()
        if planted is not None:
            raise _refused(planted[0])
        for table, grantee in connection.execute(_GRANTEES, (tables,)).fetchall():
            connection.execute(
                sql.SQL("REVOKE ALL ON TABLE {} FROM {}").format(
                    sql.Identifier("archive", table),
                    sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee),
                )
            )

    def add_salts_key(self, connection: Connection) -> None:
        """Make the primary key of the people's salts, unless it is there.

        It is left out of a new table: made over all rows at once, it costs half of what it costs
        row by row, and less of the write-ahead log.
        """
        salts = self.identifier(SALTS)
        if not fetch_value(connection, _HAS_KEY, (salts.as_string(connection),)):
            connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (source_id)").format(salts))

    def analyze(self, connection: Connection, suffix: str) -> None:
        """Take statistics of the keys of one of the tables of people's salts."""
        column = "target_id" if suffix == NATIVE_SALTS else "source_id"
        connection.execute(
            sql.SQL("ANALYZE {} ({})").format(self.identifier(suffix), sql.Identifier(column))
        )

    def keep(
        self, connection: Connection, snapshot: UUID, sections: Iterable[tuple[str, Section]]
    ) -> None:
        """Keep the leaves of one evidence: pairs of a table's name and a section."""
        statement = sql.SQL(
            "COPY {} (snapshot, table_name, section, keys, leaves) FROM STDIN (FORMAT BINARY)"
        ).format(self.identifier(LEAVES))
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(["uuid", "text", "int4", "bytea", "bytea"])
            for table, section in sections:
                copy.write_row((snapshot, table, section.number, section.keys, section.leaves))

    def section(
        self, connection: Connection, snapshot: UUID, table: str, number: int
    ) -> Section | None:
        """Return one section of a tree, or None where it is gone."""
        row = connection.execute(
            sql.SQL(
                "SELECT keys, leaves FROM {}"
                " WHERE snapshot = %s AND table_name = %s AND section = %s"
            ).format(self.identifier(LEAVES)),
            (snapshot, table, number),
            binary=True,
        ).fetchone()
        if row is None:
            return None
        return Section(number=number, keys=row[0], leaves=row[1])

    def add(
        self, connection: Connection, *, snapshot: UUID, turn: int, digest: str, envelope: bytes
    ) -> None:
        """Keep a copy of a signed manifest."""
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (snapshot, turn, digest, envelope) VALUES (%s, %s, %s, %s)"
            ).format(self.identifier(EVIDENCE)),
            (snapshot, turn, digest, envelope),
        )

    def latest(self, connection: Connection) -> bytes | None:
        """Return the newest signed manifest that is kept here, or None."""
        found: bytes | None = fetch_value(
            connection,
            sql.SQL("SELECT envelope FROM {} ORDER BY made_at DESC, turn DESC LIMIT 1").format(
                self.identifier(EVIDENCE)
            ),
        )
        return found

    def copy_of(self, connection: Connection, snapshot: UUID) -> bytes | None:
        """Return the copy that is kept of one signed manifest, or None."""
        found: bytes | None = fetch_value(
            connection,
            sql.SQL("SELECT envelope FROM {} WHERE snapshot = %s").format(
                self.identifier(EVIDENCE)
            ),
            (snapshot,),
        )
        return found


def refactors_with_evidence(connection: Connection) -> tuple[str, ...]:
    """Return the names of the refactors that the archive has evidence of."""
    found = connection.execute(
        "SELECT c.relname FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'archive' AND c.relkind = 'r' AND right(c.relname, 9) = '_evidence'"
        " AND EXISTS (SELECT FROM pg_catalog.pg_attribute AS a"
        " WHERE a.attrelid = c.oid AND a.attname = 'envelope') ORDER BY 1"
    ).fetchall()
    return tuple(name.removesuffix(f"_{EVIDENCE}") for (name,) in found)


def _refused(finding: str) -> RefusedError:
    return RefusedError(
        f"Evidence cannot be kept in schema archive: {finding}.",
        state=NOTHING_CHANGED,
        hint="Run it as the role that runs the migrations, and mend what is named.",
    )
