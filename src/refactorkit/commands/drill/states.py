"""The database at one moment, and whether a later moment is the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from refactorkit.commands.drill.steps import Outcome
from refactorkit.postgres import catalogs, sequences
from refactorkit.postgres.catalogs import Catalog
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.drill_expected import count_rows
from refactorkit.postgres.drill_people import highest_ids
from refactorkit.postgres.dumping import CannotDumpError, Programs, schema_text
from refactorkit.postgres.sequences import Sighting
from refactorkit.postgres.snapshots import Comparison, Scratch, Snapshot, compare_all, tables
from refactorkit.postgres.verification import Difference

ARCHIVE = "archive"


@dataclass(frozen=True, kw_only=True)
class State:
    """A version of the database, as it was found.

    Attributes:
        tables: copies of all tables outside the archive, by label.
        catalog: all definitions outside the archive; None where they could not be had.
        lacking: why not.
    """

    tables: Snapshot
    catalog: Catalog | None
    lacking: str = ""


@dataclass(kw_only=True)
class Observer:
    """Looks at the database between steps, on a connection of its own.

    Attributes:
        connection: with pinned settings.
        scratch: where copies are.
        programs: pg_dump.
        version_table: its label; its rows are not the same after a migration was run again.
        limit: how many differences are listed.
        sightings: of the sequences, in order.
        highest: ids in use at each of them, by the name of a sequence.
        compared: what all comparisons of rows have looked at.
        handed_out: ids that a sequence gave out a second time.
    """

    connection: Connection
    scratch: Scratch
    programs: Programs
    version_table: str
    limit: int
    sightings: list[Sighting] = field(default_factory=list)
    highest: list[Mapping[str, int]] = field(default_factory=list)
    compared: Comparison = field(default_factory=Comparison)
    handed_out: list[Difference] = field(default_factory=list)

    def live(self) -> Snapshot:
        """Return the tables as they are."""
        return tables(self.connection, but_not_in=self._aside)

    def note(self) -> State:
        """Keep a copy of everything outside the archive."""
        copies = self.scratch.copy(self.live())
        try:
            return State(tables=copies, catalog=self.catalog())
        except CannotDumpError as error:
            return State(tables=copies, catalog=None, lacking=f"{error.message} {error.hint}")

    def catalog(self) -> Catalog:
        """Return all definitions outside the archive.

        Raises:
            CannotDumpError: pg_dump could not give them.
        """
        return Catalog.parse(schema_text(self.connection, self.programs, but_not_in=self._aside))

    def look(self, when: str) -> None:
        """Note where the sequences stand."""
        self.sightings.append(
            sequences.look(self.connection, when, but_not_in=(self.scratch.schema,))
        )
        self.highest.append(highest_ids(self.connection))

    def count_rows(self) -> int:
        """Return how many rows there are outside the archive."""
        return sum(count_rows(self.connection, table) for table in self.live().values())

    def highest_given_out(self) -> dict[str, int]:
        """Return the highest id in use or given out, by the name of the sequence."""
        sighting, highest = self.sightings[-1], dict(self.highest[-1])
        for position in sighting.positions.values():
            name = position.label.rpartition(".")[2]
            if name in highest:
                highest[name] = max(highest[name], position.last)
        return highest

    def same_rows(self, expected: Snapshot, *, versions_alone: bool = False) -> Comparison:
        """Compare all tables with how they should be, row by row and byte by byte.

        Args:
            expected: tables, by label.
            versions_alone: of the version table compare only which versions are applied.
        """
        actual = self.live()
        if versions_alone:
            expected, actual = self._plain(expected), self._plain(actual)
        return self.count(compare_all(self.connection, expected, actual, limit=self.limit))

    def count(self, comparison: Comparison) -> Comparison:
        """Add to what was compared in all."""
        self.compared += replace(comparison, listed=())
        return comparison

    def same_catalog(self, expected: State) -> Outcome:
        """Compare all definitions with those of a state.

        Raises:
            CannotDumpError: pg_dump could not give them.
        """
        if expected.catalog is None:
            return Outcome(lacking=expected.lacking)
        actual = self.catalog()
        found = catalogs.differences(expected.catalog, actual)
        return Outcome(
            rows=len({*expected.catalog.entries, *actual.entries}),
            differences=len(found),
            listed=tuple(
                Difference(table=each.name, row_id="", column="", what=each.what) for each in found
            ),
        )

    def sequences(self) -> Outcome:
        """Look back: no sequence went backward, none stands below an id in use."""
        found = list(sequences.moved_backward(self.sightings))
        # Before the first cutover they are as they were found.
        for sighting, highest in list(zip(self.sightings, self.highest, strict=True))[1:]:
            found += sequences.behind(sighting, highest)
        found += self.handed_out
        return Outcome(
            rows=sum(len(sighting.positions) for sighting in self.sightings),
            differences=len(found),
            listed=tuple(found),
        )

    @property
    def _aside(self) -> tuple[str, str]:
        return ARCHIVE, self.scratch.schema

    def _plain(self, snapshot: Snapshot) -> Snapshot:
        table = snapshot.get(self.version_table)
        if table is None:
            return snapshot
        columns = {c: t for c, t in table.columns.items() if c in ("version_id", "is_applied")}
        return {**snapshot, self.version_table: replace(table, columns=columns, key=())}
