"""The tables of the archive that no mapping names, and whether they may hold rows of a person."""

from dataclasses import dataclass
from typing import Final

from refactorkit.mapping import erasure_found
from refactorkit.mapping.erasure import Place, places, relations
from refactorkit.mapping.erasure_found import ArchiveTable
from refactorkit.mapping.guards import kept_tables
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres import checksums
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.evidence_tables import EVIDENCE, LEAVES, ROW_SALTS
from refactorkit.postgres.refactors import names as refactor_names

_TABLES: Final = """
    SELECT c.relname::text, c.relkind = 'r',
        ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
        ARRAY(SELECT pg_catalog.format_type(a.atttypid, a.atttypmod)
            FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
        ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_attribute AS a
                ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY a.attnum)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'archive' AND c.relkind IN ('r', 'p', 'm', 'f')
    ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the archive holds beside the mapping's own tables.

    Attributes:
        places: tables whose columns say whom a row is about.
        not_looked_into: tables, with the schema, whose columns do not.
    """

    places: tuple[Place, ...]
    not_looked_into: tuple[str, ...]


def found_places(connection: Connection, mapping: Mapping, after: Direction) -> Found:
    """Look through the catalog; reads no row."""
    own = {*kept_tables(mapping), f"archive.{checksums.TABLE}"}
    own |= {place.name for place in places(mapping, after)}
    # Leaves and manifests say nothing once the salts are gone; those of rows go with their rows.
    own |= {f"archive.{mapping.name}_{suffix}" for suffix in (ROW_SALTS, LEAVES, EVIDENCE)}
    own.discard(f"archive.{mapping.name}_former_writes")  # not always there; its columns say whose
    others = tuple(f"{name}_" for name in refactor_names(connection) if name != mapping.name)
    related = relations(mapping, after)
    found: list[Place] = []
    unknown: list[str] = []
    for name, is_ordinary, columns, types, key in connection.execute(_TABLES).fetchall():
        if f"archive.{name}" in own:
            continue
        table = ArchiveTable(
            name=name, columns=dict(zip(columns, types, strict=True)), key=tuple(key)
        )
        theirs = name.startswith(others) and not name.startswith(f"{mapping.name}_")
        place = None
        if is_ordinary and not theirs:
            place = erasure_found.place(table, related, prefix=mapping.name)
        if place is None:
            unknown.append(f"archive.{name}")
        else:
            found.append(place)
    return Found(places=tuple(found), not_looked_into=tuple(unknown))
