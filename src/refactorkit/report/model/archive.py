"""What the archive holds, and what was done to it."""

from typing import Literal

from refactorkit.report.model.parts import Part, Reference


class Guards(Part):
    """Whether the archive's guards stand."""

    state: str
    off: list[str]


class Kept(Part):
    """One table of the archive; None where this role may not see it."""

    table: str
    holds: str
    rows: int | None
    size_bytes: int | None
    readers: list[str]


class Hold(Part):
    """A legal hold that is in force; no id of the person."""

    number: int
    at: str
    by: str
    reason: str
    reference: Reference | None


class Tombstone(Part):
    """An erasure; the person's salt is gone, so there is no reference either.

    Where it has several tombstones, its signature is the worst of theirs.
    """

    erasure: int
    at: str
    version: int
    operator: str
    approved_by: str
    basis: str
    rows: dict[str, int]
    signature: Literal["signed", "unsigned", "not verified", "forged"]


class Purge(Part):
    """What was destroyed because its time was over."""

    number: int
    at: str
    before: str
    gives_up_rollback: bool
    basis: str
    approved_by: str
    rows: int


class Operation(Part):
    """An export, an import, or hardening of the archive, as its log of operations has it.

    Attributes:
        kind: as recorded: export, import, harden, harden off; a later version may know more.
        transaction_id: of what was done, on the server where it was.
        digest: of an export: what ``archive verify-export`` says of the file.
        says: what was made, for whom; a sentence.
        undone: what could not be done, and why.
    """

    number: int
    at: str
    kind: str
    by: str
    transaction_id: str
    digest: str | None
    says: str
    undone: list[str]


class Retention(Part):
    """How long the archive is kept, as the database says, and from when on it may be destroyed."""

    period: str | None
    destroy_from: str | None
