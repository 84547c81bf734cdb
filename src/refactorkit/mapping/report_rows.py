"""Where the rows lie that a report is about, for one mapping after one direction."""

from dataclasses import dataclass

from refactorkit.mapping.model import Mapping
from refactorkit.mapping.sql import identifier as q
from refactorkit.migrations.model import Direction


@dataclass(frozen=True)
class Rows:
    """The source's rows, and the subjects in the target where there are some.

    In every query that is made of these, ``s`` is a source row, ``t`` its target row, ``m`` their
    pair.
    """

    mapping: Mapping
    after: Direction

    @property
    def source_table(self) -> str:
        """Where the source lies now, with its schema."""
        schema = "archive" if self.after is Direction.UP else "public"
        return f"{schema}.{self.mapping.source.table}"

    @property
    def target_table(self) -> str:
        """The target, with its schema."""
        return f"public.{self.mapping.target.table}"

    @property
    def has_both(self) -> bool:
        """Whether subjects live in the target, so that there is an after."""
        return self.after is Direction.UP

    def sources(self) -> str:
        """Return FROM's part for every row of the source."""
        return _aliased(self.source_table, "s")

    def subjects(self) -> str:
        """Return FROM's part for the subjects in the target; only where ``has_both``."""
        return (
            f"archive.{self.mapping.name}_map AS m JOIN {_aliased(self.target_table, 't')}"
            f" ON t.{q(self.mapping.target.key)} = m.target_id AND m.kind = 'subject'"
        )

    def people(self) -> str:
        """Return FROM's part for the subjects with their source rows; else the source alone."""
        if not self.has_both:
            return self.sources()
        key = q(self.mapping.source.key)
        return f"{self.subjects()} JOIN {self.sources()} ON s.{key} = m.source_id"

    def living_subjects(self) -> str:
        """Return a query of how many subjects are in the target."""
        if not self.has_both:
            return "SELECT 0::bigint"
        return f"SELECT count(*) FROM {self.subjects()}"

    def linked(self) -> dict[str, str]:
        """Return, by table, a query of a link's rows, and of those that have a person."""
        return {
            f"public.{link.table}": "SELECT count(*), count("
            f"{q(link.becomes if self.has_both else link.column)}) FROM public.{q(link.table)}"
            for link in self.mapping.link
        }


def _aliased(label: str, alias: str) -> str:
    schema, _, name = label.partition(".")
    return f"{schema}.{q(name)} AS {alias}"
