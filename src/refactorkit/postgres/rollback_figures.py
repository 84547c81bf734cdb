"""What a measurement of Down finds, as values: refusals, obstacles, figures, decisions."""

from collections.abc import Mapping
from dataclasses import dataclass

from refactorkit.postgres.decisions import DecisionCount


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One thing that Down's guards would refuse.

    Attributes:
        text: their sentence.
        accept: the name by which an operator may overrule it, or None.
    """

    text: str
    accept: str | None = None


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """A constraint that would stop Down.

    Attributes:
        table: the table with its schema, as the new version has it.
        constraint: the constraint or unique index.
        column: the column that names somebody who will not be there; empty otherwise.
        rows: how many rows break it.
    """

    table: str
    constraint: str
    column: str
    rows: int

    @property
    def text(self) -> str:
        """A sentence."""
        if self.column:
            return (
                f"{self.rows} rows of {self.table} have a {self.column} that names nobody:"
                f" {self.constraint} would not hold"
            )
        return f"{self.rows} rows of {self.table} would break {self.constraint}"


@dataclass(frozen=True, kw_only=True)
class LinkFigures:
    """Rows of a table that points at the source, and stays.

    Attributes:
        rows: all of them.
        without_person: those of nobody, which stay so.
        withheld: those of people who were softly deleted.
        relinked: those that get another number.
        kept: those with values that only the new version has.
    """

    table: str
    rows: int
    without_person: int
    withheld: int
    relinked: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class DependantFigures:
    """Rows of a table that follow their subject into the archive: all, and those that do."""

    table: str
    rows: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What becomes of each row.

    Attributes:
        pairs: rows of the source in the archive.
        withheld_soft: of these, left out because they were marked as deleted; the next Up gives
            them back.
        withheld_hard: left out because their user is gone.
        merged: those that come back with an edit; ``merged_columns`` says which columns.
        reowned: those that go to the custodian.
        unchanged: those that come back as they were.
        created: natives who are shown as rows of the source; ``renumbered`` of them get an id that
            is not their own.
        leaving: subjects that leave the target.
        natives: rows of the target that stay.
        deactivated: natives who may log in now, and may not then.
        rights_taken, rights_given: natives whose flag of rights was taken away or given since: the
            first lose the role, the second do not get it.
        cleared: by column, natives that lose a reference to a row that leaves.
        kept_subjects: rows of the target that go to the archive as they are, for the next Up.
        kept_natives: the same of natives, which stay as well.
        links, dependants: the tables around.
        new_tables: rows of the tables that only the new version has, which are moved.
    """

    pairs: int
    withheld_soft: int
    withheld_hard: int
    merged: int
    merged_columns: Mapping[str, int]
    reowned: int
    unchanged: int
    created: int
    renumbered: int
    leaving: int
    natives: int
    deactivated: int
    rights_taken: int
    rights_given: int
    cleared: Mapping[str, int]
    kept_subjects: int
    kept_natives: int
    links: tuple[LinkFigures, ...]
    dependants: tuple[DependantFigures, ...]
    new_tables: Mapping[str, int]

    @property
    def restored(self) -> int:
        """Rows of the source that come back."""
        return self.pairs - self.withheld_soft - self.withheld_hard


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What Down would do now.

    Attributes:
        sentence: what Down would say if it refused; None where its guards let it pass.
        refusals: the parts of it.
        later: what the guards would say once those are mended or overruled.
        obstacles: constraints that would stop it later, with an error of the server.
        unknown: sentences about what could not be found out.
        figures: None where nothing could be counted.
        decisions: what would give way to what.
        new_readers: roles that would read in the source what the new version wrote, and cannot now.
    """

    sentence: str | None = None
    refusals: tuple[Refusal, ...] = ()
    later: tuple[Refusal, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    unknown: tuple[str, ...] = ()
    figures: Figures | None = None
    decisions: tuple[DecisionCount, ...] = ()
    new_readers: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Tell whether nothing is known that would stop Down."""
        return not self.refusals and not self.obstacles


def sentence_on_readers(roles: tuple[str, ...]) -> str:
    """Return what law 10 wants said before a rollback, about at least one role."""
    return (
        f"New to {', '.join(roles)} after Down: health data that was written in the new version."
        " Where it must not be so, revoke SELECT on the source table first."
    )
