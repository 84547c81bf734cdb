"""Make the leaves of every tree of one refactor, in one snapshot, and keep them."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Map
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Final, Generic, TypeVar, cast
from uuid import UUID

import psycopg

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.evidence.leaf import Column, Form, prefix, shown_key
from refactorkit.evidence.manifest import ColumnEntry, Places, TreeEntry
from refactorkit.evidence.root_worker import RootWorker
from refactorkit.evidence.sections import Section, UnsaltedError, sections
from refactorkit.evidence.tree import SECTION_LEAVES, Frontier
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.canonical import form_of
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.definitions import Scope, archive_tables
from refactorkit.postgres.digests import rows
from refactorkit.postgres.evidence_facts import Spread
from refactorkit.postgres.evidence_tables import NATIVE_SALTS, SALTS, EvidenceTables
from refactorkit.postgres.labels import split
from refactorkit.postgres.overlay import Overlay
from refactorkit.postgres.refactors import Turn
from refactorkit.postgres.salts import NewSalts, are_none, make_row_salts
from refactorkit.postgres.tree_queries import Role, tree_query, unsalted_query

T = TypeVar("T")
_ORDER: Final[dict[Role, int]] = {"source": 0, "mapping": 1, "target": 2, "other": 3}
_IN_MEMORY: Final = 8 * 2**20  # bytes of leaves, before they wait in a file without a name


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One tree to be made."""

    role: Role
    form: Form


@dataclass(frozen=True, kw_only=True)
class Made(Generic[T]):
    """Trees, and what was asked for meanwhile."""

    trees: list[TreeEntry]
    aside: T


@dataclass(frozen=True, kw_only=True)
class _Spool:
    """Sections that wait until no COPY is running any more; of each, memory holds four numbers."""

    file: IO[bytes]
    waiting: list[tuple[str, int, int, int]] = field(default_factory=list)

    def add(self, table: str, section: Section) -> None:
        """Put a section of a table's tree at the end."""
        self.file.write(section.keys)
        self.file.write(section.leaves)
        self.waiting.append((table, section.number, len(section.keys), len(section.leaves)))

    def read(self) -> Iterator[tuple[str, Section]]:
        """Yield all sections, in the order in which they came."""
        self.file.seek(0)
        for table, number, keys, leaves in self.waiting:
            yield (
                table,
                Section(number=number, keys=self.file.read(keys), leaves=self.file.read(leaves)),
            )


def places_of(mapping: Mapping, after: Direction) -> Places:
    """Return where the tables of a refactor lie after a turn."""
    schema = "archive" if after is Direction.UP else "public"
    return Places(
        name=mapping.name,
        source=f"{schema}.{mapping.source.table}",
        source_key=mapping.source.key,
        target=f"public.{mapping.target.table}",
        target_key=mapping.target.key,
    )


def scope_of(name: str, turns: Sequence[Turn]) -> Scope:
    """Return what of schema archive is one refactor's, among all that the database has run."""
    others = [turn for turn in turns if turn.name != name]
    moved = [
        f"archive.{table}"
        for turn in others
        if turn.mapping is not None
        for table in (turn.mapping.source.table, *(new.table for new in turn.mapping.table))
    ]
    return Scope(name=name, others=[turn.name for turn in others], not_ours=moved)


def plan_trees(
    connection: Connection, mapping: Mapping, places: Places, scope: Scope
) -> tuple[Planned, ...]:
    """Return the trees in the order of the manifest: source, target, mapping, then the archive.

    Of the target those columns that it had before the refactor, and those that someone added.
    """
    pairs = f"archive.{places.name}_map"
    named = (
        Planned(role="source", form=form_of(connection, *split(places.source))),
        Planned(
            role="target",
            form=form_of(connection, *split(places.target), but_not=mapping.target.adds),
        ),
        Planned(role="mapping", form=form_of(connection, *split(pairs))),
    )
    return (
        *named,
        *(
            Planned(role="other", form=form_of(connection, *split(label)))
            for label in archive_tables(connection, scope)
            if label not in (places.source, pairs)
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Makes the trees of one piece of evidence.

    Attributes:
        connection: inside ``pinned``, able to write.
        reader: another one, in the same snapshot.
        aside: a third one, in the same snapshot.
        places: of the tables.
        snapshot: the name of this evidence.
        report: is told what is being done.
        overlays: rows that were written since, as they were, by the number of their tree.
    """

    connection: Connection
    reader: Connection
    aside: Connection
    places: Places
    snapshot: UUID
    report: Callable[[str], None]
    overlays: Map[int, Overlay] = field(default_factory=dict)

    def make(self, planned: Sequence[Planned], ask: Callable[[Connection], T]) -> Made[T]:
        """Give salts to all rows, make the leaves, keep them, and return what the manifest says.

        Memory is flat: leaves wait in a temporary file, which holds keys and hashes and no value,
        and salts are stored whenever four megabytes of them are new.

        Args:
            planned: the trees, by their numbers: source, target, mapping, others.
            ask: what is to be asked meanwhile, on the third connection, in a thread.

        Raises:
            RefusedError: a row has no salt, which cannot be.
        """
        with (
            ThreadPoolExecutor(max_workers=1) as pool,
            tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as leaves,
            tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as salts,
            RootWorker() as worker,
        ):
            spool = _Spool(file=cast("IO[bytes]", leaves))
            new = NewSalts(file=cast("IO[bytes]", salts))
            entries: dict[int, TreeEntry] = {}
            # From the start: reading a tree leaves one core idle now and then.
            asked = pool.submit(ask, self.aside)
            try:
                # A pair's salt is that of its source row, and a target row's that of its pair.
                for number in sorted(range(len(planned)), key=lambda n: _ORDER[planned[n].role]):
                    tree = planned[number]
                    self.report(tree.form.table)
                    entries[number] = self._tree(number, tree, new, spool, worker)
                    if tree.role != "other":
                        self._store(tree, new)
                self.report("leaves")
                tables = EvidenceTables(name=self.places.name)
                tables.keep(self.connection, self.snapshot, spool.read())
                return Made(trees=[entries[n] for n in range(len(planned))], aside=asked.result())
            except BaseException:
                # What is asked aside is of no use any more; the first error is what matters.
                with contextlib.suppress(psycopg.Error):
                    self.aside.cancel_safe()
                raise

    def _rows(self, tree: Planned, new: NewSalts) -> Iterator[bytes]:
        """Return the rows of a tree, each with its salt where it has one."""
        if tree.role == "source" and are_none(self.connection, self.places):
            found = rows(self.reader, unsalted_query(tree.form))
            return new.anew(found, tree.form, full=lambda: self._copy(tree, new))
        if tree.role == "other":
            make_row_salts(self.connection, self.places, tree.form)
        return rows(self.connection, tree_query(self.places, tree.role, tree.form))

    def _copy(self, tree: Planned, new: NewSalts) -> bool:
        tables = EvidenceTables(name=self.places.name)
        if tree.role == "target":
            return new.store(self.connection, tables.identifier(NATIVE_SALTS), "target_id")
        return new.store(self.connection, tables.identifier(SALTS), "source_id")

    def _store(self, tree: Planned, new: NewSalts) -> None:
        """Store the salts that are new, so that the next trees find them, and plan by them."""
        tables, is_any = EvidenceTables(name=self.places.name), self._copy(tree, new)
        if tree.role == "source":
            tables.add_salts_key(self.connection)
            tables.analyze(self.connection, SALTS)
        elif is_any:
            tables.analyze(self.connection, NATIVE_SALTS if tree.role == "target" else SALTS)

    def _tree(
        self, number: int, tree: Planned, new: NewSalts, spool: _Spool, worker: RootWorker
    ) -> TreeEntry:
        """Make one tree; rows of people who had no salt yet have one then."""
        form = tree.form
        before = prefix(snapshot=self.snapshot.bytes, number=number, form=form)
        found, size = Frontier(), 0
        last: list[bytes] = []  # the one section that is not full
        keys: list[bytes] = []
        try:
            mend = None if tree.role == "other" else new.mending(form)
            found_rows = self._rows(tree, new)
            if number in self.overlays:
                found_rows = self.overlays[number].laid_over(found_rows)
            for section in sections(found_rows, before, form, mend=mend):
                size += section.size
                if section.size == SECTION_LEAVES:
                    worker.add(section.leaves)
                else:
                    last = [section.root]
                keys.append(section.keys_digest)
                spool.add(form.table, section)
        except UnsaltedError as error:
            raise RefusedError(
                f"A row of {form.table} has no salt, and evidence of it could be guessed:"
                f" key {shown_key(form.key, error.key)}.",
                state=NOTHING_CHANGED,
                hint="This is a defect of refactorkit: please report it.",
            ) from None
        roots = [*worker.roots(), *last]
        for each in roots:
            found.append(each)
        return TreeEntry(
            table=form.table,
            role=tree.role,
            columns=[_column(column) for column in form.columns],
            schema_hash=form.digest.hex(),
            rows=size,
            root=found.root().hex(),
            section_roots=[each.hex() for each in roots],
            section_keys=[each.hex() for each in keys],
        )


def _column(column: Column) -> ColumnEntry:
    return ColumnEntry(
        name=column.name,
        type=column.type,
        encoding=column.encoding.value,
        key=None if column.key is None else column.key.value,
    )


def with_spread(tree: TreeEntry, spread: Map[str, Spread]) -> TreeEntry:
    """Return a tree's entry that says how its columns are spread, where that is known."""
    if not spread:
        return tree
    columns = [
        column.model_copy(
            update={
                "nulls": spread[column.name].nulls,
                "text_octets": spread[column.name].text_octets,
                "distinct": spread[column.name].distinct,
            }
        )
        for column in tree.columns
    ]
    return tree.model_copy(update={"columns": columns})
