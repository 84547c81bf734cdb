"""What Down would do, as queries: the text behind ``refactorkit verify --rollback``.

The guards are Down's own block, rendered so that it collects what it would refuse; the figures rest
on the expressions that Down is made of. The caller runs all of it in one read-only snapshot whose
``search_path`` is ``pg_catalog`` alone, with the settings ``refactorkit.*`` that Down would find.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refactorkit.mapping import codecs
from refactorkit.mapping.compile import environment
from refactorkit.mapping.expressions import Expressions
from refactorkit.mapping.guards import DOWN_ACCEPTABLE, expected_tables
from refactorkit.mapping.model import Link, Mapping


@dataclass(frozen=True, kw_only=True)
class LinkQueries:
    """A table that points at the source.

    Attributes:
        table: its name.
        person: its column in the new version.
        foreign_key: what Down puts on it.
        figures: a query of one row: all rows, without a person, withheld, relinked, stray, and
            with values that only the new version has.
    """

    table: str
    person: str
    foreign_key: str
    figures: str


@dataclass(frozen=True, kw_only=True)
class DependantQueries:
    """A table whose rows follow a subject; ``figures`` gives all rows, kept, stray."""

    table: str
    column: str
    foreign_key: str
    figures: str


class RollbackQueries:
    """The queries for one mapping.

    Attributes:
        title: how Down calls itself in a sentence.
        tables: what must be there, with schemas; without any of them Down says ``missing``.
        missing: a sentence with %s for the names.
        kept: the archive's own tables.
        sequences: what is read beside tables and the archive.
        functions: the archive's functions that the figures call, by name.
        acceptable: the names of guards that can be overruled.
        guards: a block that leaves what Down would refuse in the setting refactorkit.refusals.
        catalog_guards: the same without a look at the data.
        figures: rows of fact, three labels, how many.
        links, dependants: one for each such table.
        new_tables: table and a query of its number of rows.
        keepers: the archive's tables that take whole rows, each with the table they come from.
        source, target: the tables that Down writes, with schemas.
        source_columns: the source's, as the mapping knows them.
        native_source_columns: of these, what Down fills for a native; others get their default.
        native_columns: the target columns that Down may change in natives.
    """

    def __init__(self, mapping: Mapping) -> None:
        made = environment(mapping)
        q: Any = made.get_template("rollback.sql.j2").module
        self._q = q
        self._mapping = mapping
        down: Any = made.globals["down"]
        self.title: str = down.title
        self.tables: tuple[str, ...] = down.tables
        self.missing: str = down.missing
        self.kept: tuple[str, ...] = expected_tables(mapping)
        self.sequences: tuple[str, ...] = tuple(each.name for each in down.sequences)
        self.functions = tuple(f"archive.{each.name}" for each in codecs.functions(mapping))
        self.acceptable = DOWN_ACCEPTABLE
        self.guards = str(q.collected(True))
        self.catalog_guards = str(q.collected(False))
        self.figures = str(q.figures())
        self.links = tuple(
            LinkQueries(
                table=link.table,
                person=link.becomes,
                foreign_key=link.foreign_key,
                figures=str(q.link_figures(link)),
            )
            for link in mapping.link
        )
        self.dependants = tuple(
            DependantQueries(
                table=each.table,
                column=each.column,
                foreign_key=each.foreign_key,
                figures=str(q.dependant_figures(each)),
            )
            for each in mapping.dependant
        )
        self.new_tables = tuple((each.table, str(q.table_figures(each))) for each in mapping.table)
        self.keepers = _keepers(mapping)
        expressions = Expressions(mapping)
        self.source_columns = tuple(mapping.source.columns)
        self.native_source_columns = tuple(expressions.native_source_columns)
        self.native_columns = tuple(expressions.native_columns)
        self.source = f"archive.{mapping.source.table}"
        self.target = f"public.{mapping.target.table}"

    def written_sources(self, others: Sequence[str], *, every: bool) -> str:
        """Return a WITH whose last part, ``written``, holds the source's rows as Down writes them.

        Args:
            others: columns that someone added, quoted by the server.
            every: also the rows that Down leaves as they are.
        """
        return str(self._q.written_sources(list(others), every))

    def written_targets(self, names: Sequence[str]) -> str:
        """Return the same for the natives; ``names`` are all columns, quoted by the server."""
        return str(self._q.written_targets(list(names)))

    def written_links(self, table: str, others: Sequence[str]) -> str:
        """Return the same for the rows of a link that get another number, before columns go.

        Args:
            table: the link's.
            others: its columns beside the one that names the person, quoted by the server.
        """
        return str(self._q.written_links(self._link(table), list(others)))

    def _link(self, table: str) -> Link:
        return next(link for link in self._mapping.link if link.table == table)


def _keepers(mapping: Mapping) -> tuple[tuple[str, str], ...]:
    name, source, target = mapping.name, mapping.source.table, mapping.target.table
    pairs = [(f"kept_{target}", f"public.{target}"), (f"withheld_{source}", f"archive.{source}")]
    pairs += [(f"kept_{each.table}", f"public.{each.table}") for each in mapping.dependant]
    pairs += [(f"withheld_{link.table}", f"public.{link.table}") for link in mapping.link]
    return tuple((f"archive.{name}_{keeper}", living) for keeper, living in pairs)
