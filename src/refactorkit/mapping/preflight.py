"""The questions of ``preflight`` about rows, and its timed sample, for one mapping.

Before the first Up the archive's functions are not there, so the forward image is written out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from refactorkit.mapping import codecs
from refactorkit.mapping.compile import environment
from refactorkit.mapping.expressions import Expressions
from refactorkit.mapping.guards import up_guards
from refactorkit.mapping.model import Mapping

_LINK_TABLE: Final = "rk_sample_link_"


@dataclass(frozen=True, kw_only=True)
class ExtraColumn:
    """A column of the target that the mapping does not know.

    Attributes:
        name: as the catalog spells it.
        type: as the server prints it.
        value: what a new row holds there, an expression of the server's; None where only the
            insert can tell.
    """

    name: str
    type: str
    value: str | None


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the sample.

    Attributes:
        name: what is timed.
        prepare: what comes before, untimed; may be empty.
        timed: the statements whose time counts.
    """

    name: str
    prepare: str
    timed: str


@dataclass(frozen=True)
class Questions:
    """Every query of one mapping: one statement each, which reads; but the sample."""

    mapping: Mapping

    @property
    def words(self) -> str:
        """A regular expression that finds what goes away by name: the source, links' columns."""
        names = {self.mapping.source.table, *(link.column for link in self.mapping.link)}
        return r"\m(" + "|".join(sorted(names)) + r")\M"

    @property
    def lossy(self) -> tuple[str, ...]:
        """The source columns in which a value can be without an image, as ``unmapped`` counts."""
        return tuple(column.source for column in Expressions(self.mapping).lossy)

    @property
    def links(self) -> tuple[str, ...]:
        """The tables that are relinked, with their schema, as ``figures`` counts."""
        return tuple(f"public.{link.table}" for link in self.mapping.link)

    @property
    def stage(self) -> str:
        """The table that is there while something is staged, with its schema."""
        return f"archive.{self.mapping.name}_stage"

    def is_staged(self) -> str:
        """Return one row, where ``stage`` is there: may subjects be there before Up."""
        return str(self._macros.is_staged())

    def figures(self, *, again: bool, staged: bool) -> str:
        """Return one row of numbers: see ``refactorkit.commands.preflight.figures``."""
        return str(self._macros.figures(again, staged))

    def unmapped(self) -> str:
        """Return one row: for each lossy column how many values have no image."""
        return str(self._macros.unmapped())

    def known_columns(self) -> tuple[str, ...]:
        """Return the target's columns of either version."""
        return tuple(Expressions(self.mapping).all_columns)

    def broken_check(self, extra: Iterable[ExtraColumn], condition: str) -> str:
        """Return a count of subjects that would not meet a check.

        Args:
            extra: the columns beside the mapping's.
            condition: the check, as the server prints it.
        """
        return str(self._macros.broken_check(_triples(extra), condition))

    def broken_unique(
        self,
        extra: Iterable[ExtraColumn],
        keys: list[str],
        condition: str | None,
        *,
        nulls_are_equal: bool,
        staged: bool,
    ) -> str:
        """Return a count of subjects that would have the key of another row.

        Args:
            extra: the columns beside the mapping's.
            keys: the index's columns or expressions, as the server prints them.
            condition: the index's condition, as the server prints it.
            nulls_are_equal: whether the index takes NULL for a value.
            staged: whether subjects are there already, who are not in their own way.
        """
        return str(
            self._macros.broken_unique(_triples(extra), keys, condition, nulls_are_equal, staged)
        )

    def sample(self, rows: int, *, rebuild: bool) -> tuple[Part, ...]:
        """Return the parts of the sample, in order: they write temporary tables.

        Args:
            rows: how many source rows, and link rows, at most.
            rebuild: whether Up will build the target's plain indexes anew.
        """
        q = self._macros
        parts = [
            Part(name="pairs", prepare="", timed=str(q.sample_pairs(rows))),
            Part(
                name="subjects",
                prepare=str(q.sample_target(rebuild)),
                timed=str(q.sample_subjects()),
            ),
            Part(name="indexes", prepare="", timed=str(q.sample_indexes(rebuild))),
            Part(name="fingerprints", prepare="", timed=str(q.sample_fingerprints())),
        ]
        for number, link in enumerate(self.mapping.link):
            table = f"{_LINK_TABLE}{number}"
            parts.append(
                Part(name=f"scan {number}", prepare="", timed=str(q.sample_links(link, rows)))
            )
            parts.append(
                Part(
                    name=f"relink {number}",
                    prepare=str(q.sample_link_rows(table, link, rows)),
                    timed=str(q.sample_relink(table, link)),
                )
            )
        return tuple(parts)

    @cached_property
    def _macros(self) -> Any:
        """The template's macros, which mypy cannot know, as functions that give SQL."""
        mapping, expressions = self.mapping, Expressions(self.mapping)

        def made_inline(name: str) -> str:
            column = expressions.by_target.get(name)
            if column is None:
                return expressions.made(name)
            return codecs.inlined(mapping, column, name, "s")

        template = environment(mapping).get_template("preflight.sql.j2")
        return template.make_module(
            {
                "made_inline": made_inline,
                "inlined": lambda column, target, alias: codecs.inlined(
                    mapping, column, target, alias
                ),
            }
        )


def touched_tables(mapping: Mapping) -> tuple[str, ...]:
    """Return the tables that Up locks, with their schema."""
    return up_guards(mapping).tables


def _triples(extra: Iterable[ExtraColumn]) -> list[tuple[str, str, str]]:
    return [
        (_quoted(column.name), column.type, column.value)
        for column in extra
        if column.value is not None
    ]


def _quoted(name: str) -> str:
    """Return a name out of the catalog, which may be any text."""
    return '"' + name.replace('"', '""') + '"'
