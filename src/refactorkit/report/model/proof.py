"""What evidence, fingerprints and comparisons say of rows and schema."""

from typing import Literal

from refactorkit.report.model.parts import Count, Digest, Part, Reference, Word


class Signature(Part):
    """Whether one trusted key has signed."""

    key_id: str
    valid: bool


class Tree(Part):
    """One Merkle tree of the evidence, and what became of its rows."""

    table: str
    role: str
    rows: Count
    root: Digest
    verified: Count | None
    erased: Count | None
    differences: Count | None


class Tie(Part):
    """What the transaction recorded of a table against what was there for the leaves."""

    table: str
    state: str


class Change(Part):
    """Something of the schema or of the evidence's own copies that is not as it was."""

    kind: str
    name: str
    what: str


class Evidence(Part):
    """The signed evidence that was verified for this report."""

    digest: Digest
    from_file: bool
    turn: int
    made_at: str
    promise: str
    verdict: Word
    signatures: list[Signature]
    trees: list[Tree]
    ties: list[Tie]
    changes: list[Change]
    notes: list[str]
    limitations: list[str]


class Catalog(Part):
    """The fingerprint of the schema in one evidence: SHA-256 over its definitions, in order.

    Attributes:
        same_as: the number of an earlier turn with the same fingerprint at the same version.
    """

    turn: int
    direction: Literal["up", "down"]
    version: int
    digest: Digest
    fingerprint: Digest
    same_as: int | None


class Difference(Part):
    """Differences of one kind, counted, with references to some of the people.

    Attributes:
        references: salted; none where the row is nobody's, or there are no salts.
    """

    table: str
    column: str
    what: str
    listed: Count
    references: list[Reference]


class Reconciled(Part):
    """One check of every row and field."""

    name: str
    rows: int
    differences: Count
    edits_possible: bool
    verdict: Word
    kinds: list[Difference]


class Sampled(Part):
    """One person of the sample: a reference, and a word for each column."""

    reference: Reference
    states: list[Literal["as mapped", "differs", "archive only"]]


class Sample(Part):
    """Some people, for human eyes; whoever has the seed and the database draws the same."""

    seed: str
    columns: list[str]
    people: list[Sampled]
