"""Open the evidence for one row of the source: a proof that shows nothing of any other."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from refactorkit.commands.audit.files import EvidenceFile, write_new
from refactorkit.commands.audit.kept import evidence_of
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.evidence.leaf import NUMBER_BYTES, is_salted, leaf, open_row, prefix
from refactorkit.evidence.manifest import Manifest, TreeEntry
from refactorkit.evidence.proof import Proof
from refactorkit.evidence.sections import Section
from refactorkit.evidence.tree import SECTION_LEAVES, path_by_sections
from refactorkit.postgres import server_errors
from refactorkit.postgres.attesting import Tombstones
from refactorkit.postgres.canonical import missing_columns
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.definitions import is_there
from refactorkit.postgres.digests import pinned, rows
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.evidence_tables import EvidenceTables
from refactorkit.postgres.labels import split
from refactorkit.postgres.tree_queries import tree_query


@dataclass(frozen=True, kw_only=True)
class ProveRequest:
    """Whose row to prove.

    Attributes:
        dsn: the database.
        source_id: the row's key in the source.
        out: the file to make.
        evidence: the signed file; None: the newest copy that the archive has.
        refactor: its name, where the copy is meant and there are several.
    """

    dsn: Dsn
    source_id: int
    out: Path
    evidence: Path | None = None
    refactor: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProveResult:
    """A proof that was made.

    Attributes:
        file: where it is.
        evidence: digest of the manifest that it belongs to.
        table: which row's table.
        index: of its leaf.
        hashes: on the path.
        file_bytes: of the proof.
        row_bytes: of these, what the row itself takes.
    """

    file: Path
    evidence: str
    table: str
    index: int
    hashes: int
    file_bytes: int
    row_bytes: int


def prove(request: ProveRequest) -> ProveResult:
    """Write a proof that a row was in the evidence, as it still is; the database is only read.

    Raises:
        UsageError: the file is there already, or cannot be made.
        RefusedError: the row is not in the evidence, was erased, or is not what it was.
        FailedError: the server refused or was lost.
    """
    doing = f"Proving a row of {request.dsn.describe()}"
    with (
        connected(request.dsn) as connection,
        server_errors.explained(doing=doing, state=NOTHING_CHANGED),
        pinned(connection, read_only=True),
    ):
        evidence = evidence_of(connection, request.evidence, request.refactor, request.dsn)
        proof = _prove(connection, evidence, request.source_id)
    content = proof.to_bytes()
    write_new(request.out, content)
    return ProveResult(
        file=request.out,
        evidence=proof.evidence,
        table=proof.table,
        index=proof.index,
        hashes=len(proof.path),
        file_bytes=len(content),
        row_bytes=proof.row_bytes,
    )


def _prove(connection: Connection, evidence: EvidenceFile, source_id: int) -> Proof:
    manifest = evidence.manifest
    tree = manifest.tree("source")
    index, section = _find(connection, manifest, tree, source_id)
    who = f"{tree.table} {source_id}"
    number = manifest.trees.index(tree)
    before = prefix(snapshot=UUID(manifest.snapshot).bytes, number=number, form=tree.form)
    row = _row(connection, manifest, tree, source_id)
    if row is None:
        erased = source_id in Tombstones.read(connection, manifest.places.name).sources
        raise _refused(f"{who} was erased" if erased else f"{who} is gone")
    if not is_salted(row) or leaf(before, row) != section.hashes[index % SECTION_LEAVES]:
        raise _refused(f"{who} is not what it was when the evidence was made")
    opened = open_row(row)
    return Proof(
        evidence=evidence.envelope.digest,
        table=tree.table,
        index=index,
        salt=opened.salt or b"",
        fields=opened.fields,
        path=tuple(path_by_sections(section.hashes, tree.signed.roots, index)),
    )


def _find(
    connection: Connection, manifest: Manifest, tree: TreeEntry, source_id: int
) -> tuple[int, Section]:
    """Return the index of a row's leaf, and the section that it is in."""
    tables, form = EvidenceTables(name=manifest.places.name), tree.form
    width = NUMBER_BYTES[form.columns[0].type]
    try:
        key = width.to_bytes(4) + source_id.to_bytes(width, signed=True)
    except OverflowError:
        raise _refused(f"{tree.table} {source_id} is not in this evidence") from None
    if not tables.has_leaves(connection):
        raise _refused("the leaves of this evidence are gone")
    for number in range(len(tree.section_roots)):
        section = tables.section(connection, UUID(manifest.snapshot), tree.table, number)
        if section is None or not tree.signed.trusts(section, number):
            raise _refused(f"the leaves of {tree.table} are gone or were edited")
        if key not in section.keys:
            continue
        for place, (each, _) in enumerate(section.entries(form)):
            if each == key:
                return number * SECTION_LEAVES + place, section
    raise _refused(f"{tree.table} {source_id} is not in this evidence")


def _row(
    connection: Connection, manifest: Manifest, tree: TreeEntry, source_id: int
) -> bytes | None:
    schema, _ = split(tree.table)
    if not is_there(connection, tree.table):
        raise _refused(f"{tree.table} is not there: the database has turned since")
    if missing_columns(connection, schema, tree.form):
        raise _refused(f"columns of {tree.table} are gone or of another type")
    query = tree_query(manifest.places, "source", tree.form, only=source_id)
    return next(iter(list(rows(connection, query))), None)


def _refused(reason: str) -> RefusedError:
    return RefusedError(
        f"There is no proof: {reason}.",
        state=NOTHING_CHANGED,
        hint="See refactorkit audit verify.",
    )
