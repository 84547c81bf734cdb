"""What a report says: one value, of which page, JSON and CSV tables are views.

It holds no value of any row and no id of anybody: counts, words of the mapping, names of tables and
columns, hashes, salted references, and what operators said of themselves. The JSON Schema in
docs/report.schema.json is made from these classes.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Final = "refactorkit-report-v1"

Word = Literal["pass", "fail", "incomplete"]
Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Reference = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class _Part(BaseModel):
    """A part of the report: frozen, exact, nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Check(_Part):
    """One question that the verdict rests on; what was not checked is no pass.

    Attributes:
        name: for scripts; it does not change.
        title: for people.
        says: what was found, a sentence.
        do: what would answer it or mend it; empty for a pass.
    """

    name: str
    title: str
    verdict: Word
    says: str
    do: str


class Made(_Part):
    """When, with what and as whom the report was made; times are UTC."""

    at: str
    tool: str
    run_by: str


class Identity(_Part):
    """Which database; None where nobody said, or this role may not see it."""

    database: str
    environment: str | None
    system_identifier: str | None
    server_version: str
    server_encoding: str


class Stated(_Part):
    """What somebody said, and where: nothing here is made up."""

    value: str | None
    source: Literal["evidence", "option", "not said"]


class Authority(_Part):
    """On whose word it was done."""

    ticket: Stated
    requester: Stated
    approver: Stated
    operator: Stated


class Run(_Part):
    """The last Up or Down, as its own transaction wrote it down.

    Attributes:
        at: within the transaction, by the server's clock, in UTC.
        started_at: in UTC; None where no report of the operation was given that says it.
        seconds: the operation took; None likewise.
        wal_lsn: where the write-ahead log stood when evidence was made; None without.
    """

    refactor: str
    turn: int
    direction: Literal["up", "down"]
    version: int
    at: str
    started_at: str | None
    seconds: float | None
    transaction_id: str
    wal_lsn: str | None
    run_by: str
    structure_hash: str
    mapping_hash: str
    migration_checksum: str | None
    settings: dict[str, str | bool | int | None]


class Counted(_Part):
    """A number of rows, and what they are."""

    name: str
    rows: int


class Equation(_Part):
    """What must be equal, with its numbers."""

    text: str
    holds: bool


class Event(_Part):
    """Something that happened, as the archive tells; times are UTC."""

    at: str
    what: str
    by: str | None
    details: str


class Term(_Part):
    """One line of a table of values, both of them words of the mapping."""

    raw: str
    image: str


class Rule(_Part):
    """What becomes of one column, forward and back.

    Attributes:
        without_image: values that have none: NULL in the target, kept in the archive; None where
            every value has one.
    """

    source: str
    target: list[str]
    codec: str
    forward: str
    back: str
    terms: list[Term]
    without_image: Count | None


class ColumnFacts(_Part):
    """How the values of one column are spread, without any of them.

    Attributes:
        side: of the source as it is kept, or of the subjects in the target.
        distinct: different values.
        text_octets: the length of all texts together; None for what is no text, and where there
            are so few texts that it would tell of one.
    """

    side: Literal["before", "after"]
    table: str
    column: str
    type: str
    rows: Count
    nulls: Count
    distinct: Count
    text_octets: Count | None


class Cell(_Part):
    """One bar of a plot; None: hidden, for it would tell of few people."""

    label: str
    before: Count | None
    after: Count | None


class Distribution(_Part):
    """One column before and after, over classes that no person's value has chosen.

    Attributes:
        kind: classes are terms of the mapping, or ranges of one grid that is the same everywhere.
        cells: in the order of the mapping or the grid; values that are NULL or have no image are
            in ``before_missing`` and ``after_missing``.
        note: why something is not shown; empty where all is.
    """

    source: str
    target: str | None
    kind: Literal["terms", "ranges"]
    cells: list[Cell]
    before_missing: Count
    after_missing: Count | None
    note: str


class Signature(_Part):
    """Whether one trusted key has signed."""

    key_id: str
    valid: bool


class Tree(_Part):
    """One Merkle tree of the evidence, and what became of its rows."""

    table: str
    role: str
    rows: Count
    root: Digest
    verified: Count | None
    erased: Count | None
    differences: Count | None


class Tie(_Part):
    """What the transaction recorded of a table against what was there for the leaves."""

    table: str
    state: str


class Change(_Part):
    """Something of the schema or of the evidence's own copies that is not as it was."""

    kind: str
    name: str
    what: str


class Evidence(_Part):
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


class Catalog(_Part):
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


class Difference(_Part):
    """Differences of one kind, counted, with references to some of the people.

    Attributes:
        references: salted; none where the row is nobody's, or there are no salts.
    """

    table: str
    column: str
    what: str
    listed: Count
    references: list[Reference]


class Reconciled(_Part):
    """One check of every row and field."""

    name: str
    rows: int
    differences: Count
    edits_possible: bool
    verdict: Word
    kinds: list[Difference]


class Sampled(_Part):
    """One person of the sample: a reference, and a word for each column."""

    reference: Reference
    states: list[Literal["as mapped", "differs", "archive only"]]


class Sample(_Part):
    """Some people, for human eyes; whoever has the seed and the database draws the same."""

    seed: str
    columns: list[str]
    people: list[Sampled]


class Decided(_Part):
    """How often one rule let a value or a row give way."""

    rule: str
    table: str
    column: str
    last_turn: Count
    all_turns: Count


class Given(_Part):
    """A document that was handed in: what it claims, and whether that fits this database.

    Attributes:
        sha256: of the file.
        matches: whether what it says agrees with the database; None where that cannot be told.
    """

    kind: Literal["preflight", "drill", "operation"]
    file: str
    sha256: Digest
    verdict: Word
    at: str | None
    seconds: float | None
    says: str
    matches: bool | None
    findings: list[str]


class Guards(_Part):
    """Whether the archive's guards stand."""

    state: str
    off: list[str]


class Kept(_Part):
    """One table of the archive; None where this role may not see it."""

    table: str
    holds: str
    rows: int | None
    size_bytes: int | None
    readers: list[str]


class Hold(_Part):
    """A legal hold that is in force; no id of the person."""

    number: int
    at: str
    by: str
    reason: str
    reference: Reference | None


class Tombstone(_Part):
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


class Purge(_Part):
    """What was destroyed because its time was over."""

    number: int
    at: str
    before: str
    gives_up_rollback: bool
    basis: str
    approved_by: str
    rows: int


class Retention(_Part):
    """How long the archive is kept, as the database says, and from when on it may be destroyed."""

    period: str | None
    destroy_from: str | None


class Report(_Part):
    """Everything that a report says."""

    format: Literal["refactorkit-report-v1"]
    verdict: Word
    summary: str
    made: Made
    identity: Identity
    verify_with: list[str]
    authority: Authority
    run: Run
    checks: list[Check]
    counts: list[Counted]
    equations: list[Equation]
    timeline: list[Event]
    rules: list[Rule]
    columns: list[ColumnFacts]
    distributions: list[Distribution]
    evidence: Evidence | None
    catalogs: list[Catalog]
    reconciliation: list[Reconciled]
    sample: Sample | None
    decisions: list[Decided]
    documents: list[Given]
    guards: Guards
    kept: list[Kept]
    retention: Retention
    holds: list[Hold]
    tombstones: list[Tombstone]
    purges: list[Purge]
    limitations: list[str]


def verdict_of(checks: list[Check]) -> Word:
    """Return FAIL where a check failed, PASS where all passed, and else INCOMPLETE."""
    words = {check.verdict for check in checks}
    if "fail" in words:
        return "fail"
    return "pass" if words == {"pass"} else "incomplete"
