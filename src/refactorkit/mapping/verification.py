"""The checks of ``verify``: archive, pairs and living tables against each other, as queries.

The expected values are computed by the archive's own functions, that is by the mapping that Up ran
with. Blind spots: in version 11 a link row says only whom it belongs to now (that it belonged to
the same person before is what ``drill`` shows); the fingerprints are 64 bits wide and guard
against accidents, not against people.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from refactorkit.mapping.compile import environment
from refactorkit.mapping.erasure import Place, places, union
from refactorkit.mapping.guards import kept_tables, moved_tables
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.sql import literal
from refactorkit.migrations.model import Direction


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison.

    Attributes:
        name: what is compared with what.
        rows: a query that counts the rows looked at (one row, one column).
        differences: a query that gives each difference as table, row id, column, what.
        is_edit: a difference may be the application's own later write.
    """

    name: str
    rows: str
    differences: str
    is_edit: bool = False


def checks(mapping: Mapping, after: Direction, found: Iterable[Place] = ()) -> tuple[Check, ...]:
    """Return the checks for a database whose last turn of this refactor was ``after``.

    Args:
        mapping: what the refactor ran with.
        after: the direction of that turn.
        found: other tables of the archive that may hold rows of a person.
    """
    last_down = f"(SELECT max(turn) FROM archive.{mapping.name}_turns WHERE direction = 'down')"
    q = _queries(mapping, last_down=last_down)
    name, source, target = mapping.name, mapping.source, mapping.target
    pairs = f"SELECT count(*) FROM archive.{name}_map"
    subjects = f"{pairs} WHERE kind = 'subject'"
    kept = f"SELECT count(*) FROM archive.{name}_kept_{target.table}"
    up = after is Direction.UP
    schema = "archive" if up else "public"
    made = [
        Check(
            name=f"rows of {source.table} and pairs",
            rows=pairs,
            differences=q.pair_of_each_row(schema),
            is_edit=not up,
        ),
        Check(
            name=f"fingerprints of {source.table}",
            rows=pairs,
            differences=q.fingerprints(schema),
            is_edit=not up,
        ),
    ]
    if up:
        made += [
            Check(name="subjects are there", rows=pairs, differences=q.living(), is_edit=True),
            Check(
                name="columns of subjects", rows=subjects, differences=q.subjects(), is_edit=True
            ),
            Check(
                name="columns of subjects given back",
                rows=f"{kept} WHERE refactorkit_kind = 'subject'",
                differences=q.subjects_given_back(),
                is_edit=True,
            ),
            Check(
                name="columns of natives given back",
                rows=f"{kept} WHERE refactorkit_kind = 'native'",
                differences=q.natives_given_back(),
                is_edit=True,
            ),
        ]
    else:
        withheld = f"SELECT count(*) FROM archive.{name}_withheld_{source.table}"
        made += [
            Check(name="subjects have left", rows=subjects, differences=q.lingering()),
            Check(name="withheld rows stay away", rows=withheld, differences=q.withheld()),
            Check(name="bases of what is kept", rows=kept, differences=q.bases()),
        ]
    for link in mapping.link:
        owner = ("public", target.table, target.key) if up else ("public", source.table, source.key)
        column = link.becomes if up else link.column
        made.append(
            Check(
                name=f"links of {link.table}",
                rows=f"SELECT count(*) FROM public.{link.table}",
                differences=q.link_rows(link.table, link.key, column, *owner),
            )
        )
    everywhere = union(mapping, (*places(mapping, after), *found))
    made += [
        Check(
            name="erased people stay away",
            rows=f"SELECT count(*) FROM archive.{name}_tombstones",
            differences=f"SELECT x.a, x.b, '', 'is of an erased person: archive erase ' || x.c"
            f" FROM (\n{everywhere}\n) AS x (a, b, c)",
        ),
        Check(name="sequences", rows="SELECT 2", differences=q.sequences(schema)),
        Check(
            name="triggers",
            rows=f"SELECT count(*) FROM archive.{name}_triggers",
            differences=q.switched_off(),
        ),
        Check(
            name="foreign keys of the archive",
            rows="SELECT count(*) FROM pg_constraint WHERE contype = 'f'",
            differences=q.archive_keys(),
        ),
        Check(
            name="rights in the archive",
            rows="SELECT count(*) FROM pg_class WHERE relnamespace = 'archive'::regnamespace",
            differences=q.archive_rights(),
        ),
        guards_check(mapping, after),
    ]
    return tuple(made)


def erased_query(mapping: Mapping) -> str:
    """Return a query of the number of people who were erased, each counted once.

    A person can have several ids, and be erased again after a backup brought them back.
    """
    return (
        "SELECT count(DISTINCT d.first) FROM (SELECT min(erasure) AS first"
        f" FROM archive.{mapping.name}_tombstones GROUP BY source_id) AS d"
    )


def guards_check(mapping: Mapping, after: Direction) -> Check:
    """Return the check whether guards are on; where the archive has none, it finds nothing."""
    tables = (*kept_tables(mapping), *moved_tables(mapping, after))
    listed = ", ".join(literal(table) for table in tables)
    return Check(
        name="guards of the archive",
        rows=f"SELECT count(*) FROM pg_trigger WHERE tgname = {literal(mapping.name + '_guard')}"
        f" AND tgrelid = ANY (ARRAY(SELECT to_regclass(t) FROM unnest(ARRAY[{listed}]) AS t))",
        differences=_queries(mapping, last_down="").guards_off(tables),
    )


def unmapped_query(mapping: Mapping, after: Direction) -> str | None:
    """Return a query of column and number of values without a forward image, or None.

    Such values are no difference: they stay in the archive and come back as they were.
    """
    if not any(column.codec in ("values", "range") for column in mapping.column):
        return None
    schema = "archive" if after is Direction.UP else "public"
    return str(_queries(mapping, last_down="").unmapped(schema))


def _queries(mapping: Mapping, *, last_down: str) -> Any:
    """Return the template's macros, which mypy cannot know, as functions that give SQL."""
    template = environment(mapping).get_template("verify.sql.j2")
    return template.make_module({"last_down": last_down})
