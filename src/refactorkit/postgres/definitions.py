"""How the server defines what evidence is about: the catalog as texts, to be compared later.

Names are qualified, because ``pinned`` has a search_path of pg_catalog alone. Owners are left out:
a restored dump may have others. Blind spot: functions outside schema archive, whose bodies a
trigger may call, are seen by their name only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from refactorkit.evidence.manifest import CatalogEntry, SequenceEntry
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.evidence_tables import EvidenceTables
from refactorkit.postgres.labels import identifier

_DEFINITIONS: Final = """
    WITH touched AS (
        SELECT c.oid, c.oid::regclass::text AS name, c.relkind, c.relpersistence,
            c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relhassubclass,
            c.relnamespace, c.relacl, c.relowner
        FROM pg_class AS c
        WHERE c.oid = ANY (%(tables)s::regclass[])
    )
    SELECT 'table', t.name, concat_ws(', ', t.relkind, t.relpersistence,
        'row security ' || t.relrowsecurity, 'forced ' || t.relforcerowsecurity,
        'replica identity ' || t.relreplident::text, 'children ' || EXISTS (
            SELECT FROM pg_inherits AS i WHERE t.oid IN (i.inhrelid, i.inhparent)))
    FROM touched AS t
    UNION ALL
    SELECT 'column', t.name || '.' || a.attname, concat_ws(' ',
        format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'NOT NULL' END,
        'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid),
        CASE WHEN a.attgenerated <> '' THEN 'generated ' || a.attgenerated::text END,
        CASE WHEN a.attidentity <> '' THEN 'identity ' || a.attidentity::text END,
        CASE WHEN a.attcollation <> y.typcollation
            THEN 'COLLATE ' || a.attcollation::regcollation::text END)
    FROM touched AS t
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type AS y ON y.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT 'constraint', t.name || '.' || c.conname, pg_get_constraintdef(c.oid)
    FROM touched AS t
    JOIN pg_constraint AS c ON c.conrelid = t.oid AND c.contype NOT IN ('n', 't')
    UNION ALL
    SELECT 'foreign key to it', t.name || ' from ' || c.conrelid::regclass || '.' || c.conname,
        pg_get_constraintdef(c.oid)
    FROM touched AS t
    JOIN pg_constraint AS c ON c.confrelid = t.oid AND c.contype = 'f' AND c.conparentid = 0
    UNION ALL
    SELECT 'index', i.indexrelid::regclass::text,
        pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END
    FROM touched AS t
    JOIN pg_index AS i ON i.indrelid = t.oid
    UNION ALL
    SELECT 'trigger', t.name || '.' || g.tgname, pg_get_triggerdef(g.oid)
    FROM touched AS t
    JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT 'trigger state', t.name || '.' || g.tgname, CASE g.tgenabled
        WHEN 'O' THEN 'enabled' WHEN 'A' THEN 'enabled always' WHEN 'R' THEN 'replica only'
        ELSE 'disabled' END
    FROM touched AS t
    JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT 'checks of foreign keys', t.name,
        count(*) FILTER (WHERE g.tgenabled <> 'O') || ' disabled'
    FROM touched AS t
    JOIN pg_trigger AS g ON g.tgrelid = t.oid AND g.tgisinternal
    GROUP BY t.name
    UNION ALL
    SELECT 'rule', t.name || '.' || r.rulename, pg_get_ruledef(r.oid) || ' ' || r.ev_enabled::text
    FROM touched AS t
    JOIN pg_rewrite AS r ON r.ev_class = t.oid
    UNION ALL
    SELECT 'policy', t.name || '.' || p.polname, concat_ws(' ', p.polcmd, p.polpermissive,
        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM touched AS t
    JOIN pg_policy AS p ON p.polrelid = t.oid
    UNION ALL
    SELECT 'publication', t.name || ' in ' || p.pubname, 'published'
    FROM touched AS t
    JOIN pg_publication_rel AS r ON r.prrelid = t.oid
    JOIN pg_publication AS p ON p.oid = r.prpubid
    UNION ALL
    SELECT 'relation of the archive', c.oid::regclass::text, c.relkind::text
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind NOT IN ('i', 'I', 'S', 't')
    UNION ALL
    SELECT 'function of the archive', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
    FROM pg_proc AS p
    WHERE p.pronamespace = to_regnamespace('archive') AND p.prokind IN ('f', 'p')
    UNION ALL
    SELECT 'event trigger', e.evtname::text, concat_ws(' ', e.evtevent, e.evtfoid::regproc,
        e.evtenabled::text, e.evttags::text)
    FROM pg_event_trigger AS e
    UNION ALL
    SELECT 'sequence', s.seqrelid::regclass::text, concat_ws(' ', s.seqtypid::regtype,
        s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
    FROM pg_sequence AS s
    WHERE s.seqrelid = ANY (%(sequences)s::regclass[])
    UNION ALL
    SELECT 'right', 'schema archive', string_agg(DISTINCT x.privilege_type || ' to ' ||
        CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, ', ')
    FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
    WHERE n.nspname = 'archive' AND x.grantee <> n.nspowner
    HAVING count(*) > 0
    UNION ALL
    SELECT 'right', t.name, string_agg(DISTINCT x.privilege_type || ' to ' ||
        CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, ', ')
    FROM touched AS t, aclexplode(t.relacl) AS x
    WHERE t.relnamespace = to_regnamespace('archive') AND x.grantee <> t.relowner
    GROUP BY t.name
"""

_SEQUENCES: Final = """
    SELECT c.oid::regclass::text, n.nspname, c.relname
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND EXISTS (
        SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (%s::regclass[]))
    ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What of schema archive belongs to one refactor's evidence.

    Several refactors share the schema, and each has its turns: what is another's is left out, and
    so are the evidence's own tables. What belongs to no refactor is in.

    Attributes:
        name: of the refactor.
        others: names of the others that this database has run.
        not_ours: labels of tables that others have moved there.
    """

    name: str
    others: Sequence[str]
    not_ours: Sequence[str]

    def holds(self, name: str) -> bool:
        """Tell whether a table or function of schema archive is in scope, by its full name."""
        plain = name.replace('"', "")
        if plain in self.not_ours or plain in EvidenceTables(name=self.name).labels:
            return False
        owners = [
            each for each in (self.name, *self.others) if plain.startswith(f"archive.{each}_")
        ]
        return not owners or max(owners, key=len) == self.name


def definitions(
    connection: Connection, tables: Sequence[str], *, scope: Scope
) -> list[CatalogEntry]:
    """Return how everything about these tables, and schema archive, is defined, in order.

    Args:
        connection: inside ``pinned``.
        tables: labels; those that are not there have no entries.
        scope: what of schema archive belongs to the evidence.
    """
    found = connection.execute(
        _DEFINITIONS,
        {
            "tables": _that_are_there(connection, tables),
            "sequences": [name for name, _, _ in _sequences(connection, tables)],
        },
    ).fetchall()
    return sorted(
        (
            CatalogEntry(kind=kind, name=name, definition=text)
            for kind, name, text in found
            if not kind.endswith(" of the archive") or scope.holds(name)
        ),
        key=lambda entry: (entry.kind, entry.name),
    )


def sequences(connection: Connection, tables: Sequence[str]) -> list[SequenceEntry]:
    """Return where the sequences stand that these tables own."""
    found = []
    for name, schema, relation in _sequences(connection, tables):
        row = connection.execute(
            sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, relation))
        ).fetchone()
        last, called = row or (0, True)
        found.append(SequenceEntry(name=name, last=last if called else last - 1))
    return found


def archive_tables(connection: Connection, scope: Scope) -> list[str]:
    """Return the labels of the ordinary tables of schema archive that are in scope, in order."""
    found = connection.execute(
        "SELECT 'archive.' || c.relname FROM pg_class AS c"
        " WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind IN ('r', 'p')"
        ' ORDER BY c.relname COLLATE "C"'
    ).fetchall()
    return [label for (label,) in found if scope.holds(label)]


def is_there(connection: Connection, label: str) -> bool:
    """Tell whether there is such a table."""
    return bool(_that_are_there(connection, [label]))


def _sequences(connection: Connection, tables: Sequence[str]) -> list[tuple[str, str, str]]:
    there = _that_are_there(connection, tables)
    found: list[tuple[str, str, str]] = connection.execute(_SEQUENCES, (there,)).fetchall()
    return found


def _that_are_there(connection: Connection, labels: Sequence[str]) -> list[str]:
    quoted = [identifier(label).as_string(connection) for label in labels]
    found = connection.execute(
        "SELECT x FROM unnest(%s::text[]) AS x WHERE to_regclass(x) IS NOT NULL", (quoted,)
    ).fetchall()
    return [name for (name,) in found]
