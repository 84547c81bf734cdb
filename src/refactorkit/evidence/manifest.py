"""The manifest: what evidence says. A value, and the exact bytes that are signed.

It holds no value of any row: counts, roots of salted trees, definitions of the schema. Lowest and
highest values of a column are left out on purpose: each is the value of somebody.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refactorkit.evidence.comparison import SignedSections
from refactorkit.evidence.leaf import Column, Encoding, Form, KeyKind
from refactorkit.evidence.tree import SECTION_LEAVES, root

FORMAT: Final = "refactorkit-evidence-v1"
PROMISE: Final = (
    "Detects any change after the evidence was made; says nothing about whether the data was right"
    " before."
)
AFTERWARDS: Final = (
    "Anchored after the fact: leaves and signature were made after the transaction had ended. The"
    " fingerprints that the transaction itself recorded tie the two together; they are 64 bits"
    " wide, guard against accidents, and prove nothing against people."
)
WITHIN: Final = (
    "Made with the change: leaves are of a snapshot that was taken right after its commit, and rows"
    " that others wrote in between are of one that was taken while the change held its locks. The"
    " fingerprints that the transaction recorded agree with both together; they are 64 bits wide,"
    " guard against accidents, and prove nothing against people."
)
_LIVING: Final = (
    "Rows of living tables may be written by the application at any time: what differs there is"
    " named, and whether it was meant cannot be told."
)
_KEY: Final = (
    "Whoever holds the signing key can sign another state: keep this file, and an auditor's second"
    " signature, where neither the operator nor the owner of the database can replace them."
)
LIMITATIONS: Final = (
    _LIVING,
    "Columns that the new version added to the target are compared by verify, not by these trees.",
    _KEY,
    "Backups, the write-ahead log, replicas and server logs are outside.",
)

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class BadManifestError(Exception):
    """Bytes are no manifest that this program knows."""


class _Part(BaseModel):
    """A part of the manifest: frozen, exact, nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Identity(_Part):
    """Where the evidence was made: with what, on which server, in which database."""

    tool: str
    system_identifier: str | None
    database: str
    server_version: str
    server_encoding: str


class Authority(_Part):
    """On whose word: each as it was given, None where nobody said."""

    ticket: str | None
    requester: str | None
    approver: str | None
    operator: str


class Run(_Part):
    """The Up or Down that the evidence is about."""

    turn: int
    direction: Literal["up", "down"]
    version: int
    at: str
    transaction_id: str
    run_by: str
    structure_hash: str
    mapping_hash: str
    settings: dict[str, str | bool | int | None]
    migration_checksum: str | None


class Made(_Part):
    """When the evidence was made.

    Attributes:
        at: the server's time, UTC.
        after_the_fact: False where the operation made it itself, and every row is as the change
            left it.
        wal_lsn: where the write-ahead log stood.
    """

    at: str
    after_the_fact: bool
    wal_lsn: str | None


class Counts(_Part):
    """What was counted, and the equation that must hold."""

    counted: dict[str, int]
    equation: str
    holds: bool


class Side(_Part):
    """Rows of one table, and the XOR of their 64-bit hashes."""

    rows: Count
    fingerprint: int


class Tie(_Part):
    """What the transaction recorded of a table, and what the leaves were made of.

    Attributes:
        table: which.
        recorded: by the transaction; None where it recorded nothing.
        found: of the rows of the leaves.
        state: whether the two are the same.
        written_since: rows that others wrote before the leaves were made; where the state is
            ``same``, the leaves are of what they were before. None where nobody looked.
    """

    table: str
    recorded: Side | None
    found: Side
    state: Literal["same", "changed since", "not recorded"]
    written_since: Count | None = None


class Places(_Part):
    """The tables of the refactor, where they lay."""

    name: str
    source: str
    source_key: str
    target: str
    target_key: str


class ColumnEntry(_Part):
    """One column of a tree's rows, and how its values are spread (None: not counted)."""

    name: str
    type: str
    encoding: Literal["binary", "text"]
    key: Literal["number", "text"] | None
    nulls: Count | None = None
    text_octets: Count | None = None
    distinct: Count | None = None


class TreeEntry(_Part):
    """One tree.

    Attributes:
        role: what its rows are, which says where their salts are.
        columns: those of the key first.
        section_roots: of its sections of 4096 leaves, in order.
        section_keys: SHA-256 of the keys of each section.
    """

    table: str
    role: Literal["source", "target", "mapping", "other"]
    columns: list[ColumnEntry]
    schema_hash: Hex
    rows: Count
    root: Hex
    section_roots: list[Hex]
    section_keys: list[Hex]

    @property
    def form(self) -> Form:
        """The canonical form of its rows."""
        return Form(
            table=self.table,
            columns=tuple(
                Column(
                    name=each.name,
                    type=each.type,
                    encoding=Encoding(each.encoding),
                    key=None if each.key is None else KeyKind(each.key),
                )
                for each in self.columns
            ),
        )

    @property
    def signed(self) -> SignedSections:
        """What it says of its sections."""
        return SignedSections(
            rows=self.rows,
            roots=[bytes.fromhex(each) for each in self.section_roots],
            keys=[bytes.fromhex(each) for each in self.section_keys],
        )


class CatalogEntry(_Part):
    """One thing of the schema, by kind and name, and how the server defines it."""

    kind: str
    name: str
    definition: str


class SequenceEntry(_Part):
    """Where a sequence stood."""

    name: str
    last: int


class Manifest(_Part):
    """Everything that one piece of evidence says."""

    format: Literal["refactorkit-evidence-v1"]
    snapshot: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    promise: str
    made: Made
    identity: Identity
    authority: Authority
    run: Run
    places: Places
    counts: Counts
    values_without_image: dict[str, int] | None
    ties: list[Tie]
    trees: list[TreeEntry]
    catalog: list[CatalogEntry]
    sequences: list[SequenceEntry]
    previous: Hex | None
    limitations: list[str]

    def to_bytes(self) -> bytes:
        """Return the bytes to be signed; what was signed once is never written again."""
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Read a manifest.

        Raises:
            BadManifestError: it is not one; the message names the place and quotes nothing.
        """
        try:
            made = cls.model_validate_json(data)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise BadManifestError(
                f"it is no manifest of the format {FORMAT}, at {place or 'its start'}"
            ) from None
        for tree in made.trees:
            _check(tree)
        return made

    def tree(self, role: str) -> TreeEntry:
        """Return the tree of a role that is there once.

        Raises:
            BadManifestError: there is none.
        """
        for tree in self.trees:
            if tree.role == role:
                return tree
        raise BadManifestError(f"there is no tree of the {role}")


def _check(tree: TreeEntry) -> None:
    """Hold the parts of a tree's entry together.

    Raises:
        BadManifestError: they contradict each other.
    """
    signed = tree.signed
    if tree.form.digest.hex() != tree.schema_hash:
        raise BadManifestError(f"the schema hash of {tree.table} is not that of its columns")
    if root(signed.roots).hex() != tree.root:
        raise BadManifestError(f"the root of {tree.table} is not that of its sections")
    sections = -(-tree.rows // SECTION_LEAVES)
    if not sections == len(signed.roots) == len(signed.keys):
        raise BadManifestError(f"{tree.table} has not as many sections as its rows need")
