"""Which database, by whose word, in which run, and whether that is well."""

from typing import Literal

from refactorkit.report.model.parts import Digest, Part, Word


class Check(Part):
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


class Made(Part):
    """When, with what and as whom the report was made; times are UTC."""

    at: str
    tool: str
    run_by: str


class Identity(Part):
    """Which database; None where nobody said, or this role may not see it."""

    database: str
    environment: str | None
    system_identifier: str | None
    server_version: str
    server_encoding: str


class Stated(Part):
    """What somebody said, and where: nothing here is made up."""

    value: str | None
    source: Literal["evidence", "option", "not said"]


class Authority(Part):
    """On whose word it was done."""

    ticket: Stated
    requester: Stated
    approver: Stated
    operator: Stated


class Run(Part):
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


class Counted(Part):
    """A number of rows, and what they are."""

    name: str
    rows: int


class Equation(Part):
    """What must be equal, with its numbers."""

    text: str
    holds: bool


class Event(Part):
    """Something that happened, as the archive tells; times are UTC."""

    at: str
    what: str
    by: str | None
    details: str


class Given(Part):
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
