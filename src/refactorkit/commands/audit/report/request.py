"""What is asked of a report, and what comes of it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from refactorkit.commands.verdict import Verdict
from refactorkit.postgres.dsn import Dsn
from refactorkit.report import model


class Format(StrEnum):
    """What a report can be written as."""

    HTML = "html"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """What to report on, with what in hand, and where to.

    Attributes:
        dsn: the database.
        output: a folder; or a file, where one format is asked for and it has that ending.
        formats: what to write.
        replace: files that are there may be replaced.
        refactor: its name, where the database has run several.
        evidence: the signed file; None: the newest copy that the archive has.
        keys: public keys, all of which must have signed.
        tombstone_keys: more public keys that may have signed tombstones.
        allow_edits: what the application may have written since is no failure.
        ticket: the change's, where the evidence does not say.
        requester: who asked for it, likewise.
        approver: who allowed it, likewise.
        preflights: what ``preflight --json`` printed.
        drills: what ``drill --json`` printed.
        operations: what ``cutover --json`` and ``rollback --json`` printed.
        people: how many are drawn for the sample.
        seed: of the sample.
    """

    dsn: Dsn
    output: Path
    formats: tuple[Format, ...] = tuple(Format)
    replace: bool = False
    refactor: str | None = None
    evidence: Path | None = None
    keys: tuple[Path, ...] = ()
    tombstone_keys: tuple[Path, ...] = ()
    allow_edits: bool = False
    ticket: str | None = None
    requester: str | None = None
    approver: str | None = None
    preflights: tuple[Path, ...] = ()
    drills: tuple[Path, ...] = ()
    operations: tuple[Path, ...] = ()
    people: int = 20
    seed: str = "1"


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """A report that was written.

    Attributes:
        report: what it says.
        files: where.
    """

    report: model.Report
    files: tuple[Path, ...]

    @property
    def verdict(self) -> Verdict:
        """Pass: everything was asked, and answered with yes."""
        return Verdict(self.report.verdict)

    @property
    def exit_code(self) -> int:
        """0 for a pass, else 3; the report is written in any case."""
        return 0 if self.verdict is Verdict.PASS else 3
