"""The trees of signed evidence against the tables as they are now."""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from uuid import UUID

from psycopg import sql

from refactorkit.evidence.comparison import Comparison, RowFinding, RowState, swaps
from refactorkit.evidence.leaf import Form, KeyKind, prefix, shown_key
from refactorkit.evidence.manifest import Manifest, Places, TreeEntry
from refactorkit.evidence.schema_comparison import MOVED_ON, Change
from refactorkit.evidence.sections import Section, UnsaltedError, open_key, sections
from refactorkit.evidence.tree import Frontier
from refactorkit.postgres.canonical import missing_columns
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.definitions import is_there
from refactorkit.postgres.digests import rows
from refactorkit.postgres.evidence_tables import EvidenceTables
from refactorkit.postgres.labels import split
from refactorkit.postgres.tree_queries import tree_query
from refactorkit.postgres.verification import Difference

_EDITS: Final = frozenset({RowState.EDITED, RowState.ADDED, RowState.MISSING})
_COMPARED: Final = 200  # edited rows that are tried against each other, whether they were swapped
_MOST_BYTES: Final = 2**16  # of a row that is kept for that


@dataclass(kw_only=True)
class TreeOutcome:
    """What became of the rows of one tree.

    Attributes:
        table: with its schema.
        expected: rows when the evidence was made.
        verified: rows that are what they were.
        erased: rows that are gone with a person, as the tombstones say.
        grown: rows that came since, in a log that is there to grow.
        differences: all that is not as it was, counted.
        edits: of these, what the application may have written since.
        former: of these edits, what the log of the former version's writes names.
        listed: the first of them.
        is_living: the application may write to this table.
        distrusted: sections whose kept leaves are gone or were edited.
        is_whole: False where a part could not be compared at all.
    """

    table: str
    expected: int
    verified: int = 0
    erased: int = 0
    grown: int = 0
    differences: int = 0
    edits: int = 0
    former: int = 0
    listed: list[Difference] = field(default_factory=list)
    is_living: bool = False
    is_whole: bool = True
    distrusted: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Tombstones:
    """Who was erased: ids, and how many rows of which table went with them.

    Attributes:
        sources: ids of the source.
        targets: ids of the target.
        counts: rows, by a table's label.
    """

    sources: frozenset[int] = frozenset()
    targets: frozenset[int] = frozenset()
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, connection: Connection, name: str) -> "Tombstones":
        """Read them; none where there is no such table."""
        label = f"archive.{name}_tombstones"
        if not is_there(connection, label):
            return cls()
        found = [
            stone
            for (stone,) in connection.execute(
                sql.SQL("SELECT to_jsonb(t) FROM {} AS t").format(sql.Identifier(*split(label)))
            )
        ]
        # One erasure may bury several pairs: its counts stand on each of their tombstones.
        erasures = {
            each.get("erasure", number): each["counts"] for number, each in enumerate(found)
        }
        counts: dict[str, int] = {}
        for each in erasures.values():
            for table, number in each.items():
                if isinstance(number, int):
                    counts[table] = counts.get(table, 0) + number
        return cls(
            sources=frozenset(each["source_id"] for each in found),
            targets=frozenset(each["target_id"] for each in found if each["target_id"] is not None),
            counts=counts,
        )


@dataclass(frozen=True, kw_only=True)
class FormerWrites:
    """What the former version's log says: whoever can write there can make it say so.

    Attributes:
        sources: keys of the source's rows that were written.
        natives: whether rows of the target were: the turn's record tells who is a native.
        any: whether there is anything in it.
    """

    sources: frozenset[int] = frozenset()
    natives: bool = False
    any: bool = False

    @classmethod
    def read(cls, connection: Connection, places: Places) -> "FormerWrites":
        """Read them; none where there is no such table."""
        label = f"archive.{places.name}_former_writes"
        if not is_there(connection, label):
            return cls()
        rows = connection.execute(
            sql.SQL("SELECT DISTINCT table_name, row_id FROM {}").format(
                sql.Identifier(*split(label))
            )
        ).fetchall()
        source, target = places.source.partition(".")[2], places.target.partition(".")[2]
        return cls(
            sources=frozenset(key for table, key in rows if table == source),
            natives=any(table == target for table, _ in rows),
            any=bool(rows),
        )

    def moves_on(self, change: Change, places: Places) -> bool:
        """Tell whether a sequence went forward because of these writes."""
        own = {
            f"archive.{places.name}_former_writes_write_seq",
            f"{places.source}_{places.source_key}_seq",
        }
        return self.any and change.name in own and change.what == MOVED_ON


@dataclass(frozen=True, kw_only=True)
class Attestor:
    """Compares trees, in one snapshot.

    Attributes:
        connection: inside ``pinned``; streams the rows.
        second: another connection to the same database, for the leaves meanwhile.
        manifest: what is to be compared with.
        tombstones: who was erased.
        growing: labels of tables that may have new rows.
        limit: how many differences of each tree are listed.
        former: what the former version wrote beside the new one, as its log says: edits of the
            application, like those of a living table, and no less visible.
    """

    connection: Connection
    second: Connection
    manifest: Manifest
    tombstones: Tombstones
    growing: Collection[str]
    limit: int
    former: "FormerWrites"

    def attest(self, number: int) -> TreeOutcome:
        """Compare one tree, by its number, with its table."""
        tree = self.manifest.trees[number]
        schema, _ = split(tree.table)
        outcome = TreeOutcome(table=tree.table, expected=tree.rows, is_living=schema != "archive")
        if not is_there(self.connection, tree.table):
            self._tell(outcome, "", "", "the table is gone", count=max(tree.rows, 1))
            outcome.is_whole = False
            return outcome
        gone = missing_columns(self.connection, schema, tree.form)
        for column in gone:
            self._tell(outcome, "", column, "the column is gone, or of another type")
        if gone:
            outcome.is_whole = False
            return outcome
        if not self._has_salts(outcome):
            return outcome
        if self._whole_root(number, tree) == tree.root:
            outcome.verified = tree.rows
            self._look_at_leaves(outcome, tree)
        else:
            self._compare(outcome, number, tree)
        return outcome

    def _has_salts(self, outcome: TreeOutcome) -> bool:
        """Tell whether the tables of salts are there at all."""
        for label in self._missing_salts:
            self._tell(outcome, "", "", f"cannot be verified: {label} is gone")
        outcome.is_whole = not self._missing_salts
        return outcome.is_whole

    @cached_property
    def _missing_salts(self) -> list[str]:
        labels = self._tables.salt_labels
        return [label for label in labels if not is_there(self.connection, label)]

    @cached_property
    def _tables(self) -> EvidenceTables:
        return EvidenceTables(name=self.manifest.places.name)

    @cached_property
    def _has_leaves(self) -> bool:
        return self._tables.has_leaves(self.second)

    def _rows(self, number: int) -> "tuple[bytes, Form]":
        form = self.manifest.trees[number].form
        snapshot = UUID(self.manifest.snapshot).bytes
        return prefix(snapshot=snapshot, number=number, form=form), form

    def _whole_root(self, number: int, tree: TreeEntry) -> str | None:
        """Return the root over the rows as they are; None where one has no salt."""
        before, form = self._rows(number)
        found = Frontier()
        stream = rows(self.connection, tree_query(self.manifest.places, tree.role, form))
        try:
            for section in sections(stream, before, form):
                found.append(section.root)
        except UnsaltedError:
            for _ in stream:
                pass
            return None
        return found.root().hex()

    def _look_at_leaves(self, outcome: TreeOutcome, tree: TreeEntry) -> None:
        """The rows are what they were: are the leaves that are kept for them, too?"""
        for number in range(len(tree.section_roots)):
            if not tree.signed.trusts(self._kept(tree, number), number):
                outcome.distrusted.append(number)

    def _compare(self, outcome: TreeOutcome, number: int, tree: TreeEntry) -> None:
        before, form = self._rows(number)
        comparison = Comparison(
            form=form,
            before=before,
            signed=tree.signed,
            kept=lambda section: self._kept(tree, section),
        )
        stream = rows(self.connection, tree_query(self.manifest.places, tree.role, form))
        edited: list[RowFinding] = []
        unsaid = self.tombstones.counts.get(tree.table, 0)
        for finding in comparison.findings(stream):
            match finding.state:
                case RowState.ADDED if tree.table in self.growing:
                    outcome.grown += 1
                case RowState.MISSING if self._is_erased(tree, form, finding.key):
                    outcome.erased += 1
                case RowState.MISSING if unsaid and not self._has_row_salt(tree, form, finding.key):
                    unsaid -= 1
                    outcome.erased += 1
                case RowState.EDITED if (
                    len(edited) < _COMPARED and len(finding.row or b"") < _MOST_BYTES
                ):
                    edited.append(finding)
                case state:
                    former = self._is_former(tree, form, finding.key)
                    outcome.edits += (outcome.is_living or former) and state in _EDITS
                    outcome.former += former
                    self._tell(outcome, self._shown(form, finding.key), "", state.value)
        whose = swaps(edited, before, form)
        for finding in edited:
            what = finding.state.value
            if (other := whose.get(finding.key)) is not None:
                word = "was swapped with" if whose.get(other) == finding.key else "holds what was"
                what = f"{word} {self._shown(form, other)}"
            former = self._is_former(tree, form, finding.key)
            outcome.edits += outcome.is_living or former
            outcome.former += former
            self._tell(outcome, self._shown(form, finding.key), "", what)
        outcome.verified = comparison.verified
        outcome.distrusted = comparison.distrusted

    def _kept(self, tree: TreeEntry, section: int) -> Section | None:
        if not self._has_leaves:
            return None
        return self._tables.section(self.second, UUID(self.manifest.snapshot), tree.table, section)

    def _is_erased(self, tree: TreeEntry, form: Form, key: bytes) -> bool:
        """Tell whether the row was a person's who has a tombstone, as far as its key tells."""
        places, name = self.manifest.places, self.manifest.places.name
        parts = zip(form.columns, open_key(key, form), strict=False)
        values = {column.name: value for column, value in parts if value is not None}
        numbers = [column.name for column in form.columns if column.key is KeyKind.NUMBER]
        for column in numbers:
            ids = {"source": self.tombstones.sources, "target": self.tombstones.targets}.get(
                self._person(places, tree, name, column)
            )
            if ids is not None and column in values:
                return int.from_bytes(values[column], signed=True) in ids
        if tree.table == f"archive.{name}_decisions":
            about, row_id = values.get("table_name", b""), values.get("row_id", b"").decode()
            about_whom = {
                places.source.partition(".")[2].encode(): self.tombstones.sources,
                places.target.partition(".")[2].encode(): self.tombstones.targets,
            }.get(about, frozenset())
            return row_id.lstrip("-").isdigit() and int(row_id) in about_whom
        return False

    def _is_former(self, tree: TreeEntry, form: Form, key: bytes) -> bool:
        """Tell whether the former version wrote the row, by its log."""
        name = self.manifest.places.name
        if tree.table == f"archive.{name}_turns":  # says who a native of the former version is
            return self.former.natives
        if tree.role != "source" and tree.table != f"archive.{name}_map":
            return False
        value = open_key(key, form)[0]
        return value is not None and int.from_bytes(value, signed=True) in self.former.sources

    @staticmethod
    def _person(places: Places, tree: TreeEntry, name: str, column: str) -> str:
        """Return whose id a column of a key is: the source's, the target's, or nobody's."""
        source, target = places.source.partition(".")[2], places.target.partition(".")[2]
        if tree.role == "source" or tree.table == f"archive.{name}_withheld_{source}":
            return "source" if column == places.source_key else ""
        if tree.role == "target" or tree.table == f"archive.{name}_kept_{target}":
            return "target" if column == places.target_key else ""
        if tree.table.startswith(f"archive.{name}_"):
            return {"source_id": "source", "target_id": "target"}.get(column, "")
        return ""

    def _has_row_salt(self, tree: TreeEntry, form: Form, key: bytes) -> bool:
        """Tell whether a row that is gone has left its salt: then no erasure took it."""
        if tree.role != "other":
            return True
        return self._tables.has_row_salt(self.second, tree.table, form, open_key(key, form))

    def _tell(
        self, outcome: TreeOutcome, row_id: str, column: str, what: str, *, count: int = 1
    ) -> None:
        outcome.differences += count
        if len(outcome.listed) < self.limit:
            outcome.listed.append(
                Difference(table=outcome.table, row_id=row_id, column=column, what=what)
            )

    @staticmethod
    def _shown(form: Form, key: bytes) -> str:
        return shown_key(form.key, open_key(key, form))


def highest_turn(connection: Connection, name: str) -> int | None:
    """Return the last turn of a refactor's log, or None where there is no log."""
    label = f"archive.{name}_turns"
    if not is_there(connection, label):
        return None
    found: int | None = fetch_value(
        connection, sql.SQL("SELECT max(turn) FROM {}").format(sql.Identifier(*split(label)))
    )
    return found
