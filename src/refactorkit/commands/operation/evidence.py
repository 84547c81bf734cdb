"""Evidence that an operation makes itself: of exactly what its change saw.

Somebody stands by: a second session takes a snapshot while the change holds its locks, when nobody
can write, and a third one right after the commit, before anything else is done. Leaves are made of
the two together (``postgres.overlay``) when the locks are gone. Whatever fails here fails after the
commit, and is an outcome, not an error.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from refactorkit.commands.audit.anchor import (
    AnchorRequest,
    AnchorResult,
    make_evidence,
    refuse_own_approval,
)
from refactorkit.commands.audit.files import KEY_FILE_VARIABLE, KeySource
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import NOTHING_CHANGED, RefactorkitError, UsageError
from refactorkit.mapping.embedded import embedded_mapping
from refactorkit.migrations.plan import Step
from refactorkit.postgres import server_errors, standing_by
from refactorkit.postgres.connection import Connection, connect, connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.evidence_tables import EvidenceTables
from refactorkit.postgres.overlay import Witnessed
from refactorkit.postgres.turn_facts import Moment

_LEFT_OUT: Final = "It was left out on purpose (--no-evidence)."
_NO_KEY: Final = (
    f"No signing key was given (--key FILE, {KEY_FILE_VARIABLE}), and without a signature it would"
    " be none."
)
_LATER: Final = "refactorkit audit anchor --key FILE makes it afterwards"

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class EvidenceRequest:
    """Whether an operation is to make evidence, and in whose name.

    Attributes:
        key: where the signing key is; without one no evidence is made.
        left_out: the operator wants none.
        folder: where the files go; None: the working folder.
        ticket: that the change was asked for in.
        requester: who asked for it.
        approver: who allowed it.
        operator: who runs it; None: the role of the connection.
    """

    key: KeySource
    left_out: bool = False
    folder: Path | None = None
    ticket: str | None = None
    requester: str | None = None
    approver: str | None = None
    operator: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvidenceOutcome:
    """What became of the evidence of one turn.

    Attributes:
        refactor: its name; empty where none was made of any.
        asked: whether a key was given for it.
        made: what was made; None where nothing was.
        problem: why it is no pass, a sentence; empty where it is.
    """

    refactor: str
    asked: bool
    made: AnchorResult | None = None
    problem: str = ""

    @property
    def verdict(self) -> Verdict:
        """Pass: made of exactly what the change left behind, and signed."""
        if self.made is None or self.problem:
            return Verdict.INCOMPLETE
        return self.made.verdict

    @property
    def sentence(self) -> str:
        """What there is to say of it."""
        if self.made is None:
            later = "" if self.problem == _LEFT_OUT else f" {_LATER}."
            return f"Evidence: INCOMPLETE. {self.problem}{later}"
        run = self.made.manifest.run
        within = not self.made.manifest.made.after_the_fact
        when = "with the change" if within else "after the change"
        return (
            f"Evidence: {self.verdict.value.upper()}. {self.made.file}, turn {run.turn}, made"
            f" {when}, signed by {self.made.key_id}. {self.problem}"
        ).rstrip()


class EvidenceMaker:
    """Stands by while an operation runs, and makes evidence after each refactor of it."""

    def __init__(self, request: EvidenceRequest | None, dsn: Dsn) -> None:
        """Look at key and folder.

        Args:
            request: what is wanted; None: nothing, and nobody needs to hear of it.
            dsn: the database.

        Raises:
            UsageError: the key or the folder is not to be used, or the approver is the operator.
            RefusedError: others may read the key.
        """
        self._request = request
        self._dsn = dsn
        wanted = request is not None and not request.left_out and request.key.is_given
        self._key = request.key.load() if request is not None and wanted else None
        self._before: Connection | None = None
        self._writer: Connection | None = None
        self._witnessed: Witnessed | None = None
        self._outcomes: list[EvidenceOutcome] = []
        self.seconds = 0.0
        """How long it took, in all; no lock was held meanwhile."""
        if request is None or self._key is None:
            return
        refuse_own_approval(request.approver, request.operator)
        folder = request.folder or Path()
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(
                f"Evidence cannot be written to the folder {folder}.",
                state=NOTHING_CHANGED,
                hint="Name another one: --evidence-dir DIR.",
            )

    @property
    def outcomes(self) -> tuple[EvidenceOutcome, ...]:
        """What became of it: one for each refactor, or why there is none."""
        if self._request is None or self._outcomes:
            return tuple(self._outcomes)
        problem = _LEFT_OUT if self._request.left_out else _NO_KEY
        return (
            ()
            if self._key is not None
            else (EvidenceOutcome(refactor="", asked=False, problem=problem),)
        )

    def stand_by(self, dsn: Dsn) -> None:
        """Open what it needs, so that nothing has to be waited for later.

        Args:
            dsn: of the very server that the change runs on.

        Raises:
            RefactorkitError: there is no connection to be had.
        """
        if self._key is not None:
            self._dsn = dsn
            self._before, self._writer = connect(dsn), connect(dsn)
            for connection in (self._before, self._writer):
                standing_by.without_timeouts(connection)

    def close(self) -> None:
        """Give the connections back."""
        for connection in (self._before, self._writer):
            if connection is not None:
                connection.close()

    def look(self, since: Moment, runner: Connection) -> None:
        """Take a snapshot while the change holds its locks: one round trip."""
        self._witnessed = None
        if self._before is not None:
            self._witnessed = standing_by.witness(self._before, since, runner)

    def look_shortly_before(self) -> None:
        """Take a snapshot right before a change takes its locks, for no longer than a moment."""
        self._witnessed = None
        if self._before is not None:
            self._witnessed = standing_by.witness_shortly_before(self._before)

    def make_of(self, name: str) -> None:
        """Make evidence of the turn of this refactor that was committed."""
        if self._writer is not None:
            self._make(name, self._writer, self._witnessed)

    def make(self, step: Step) -> None:
        """Make evidence of the refactor that has just been committed, if it is one."""
        mapping = embedded_mapping(step.migration)
        if mapping is not None:
            self.make_of(mapping.name)

    def make_up_for(self, name: str) -> None:
        """Make evidence of a turn that an earlier run has left without, if it has."""
        if self._key is None:
            return
        self.stand_by(self._dsn)
        assert self._writer is not None  # noqa: S101 - opened above
        with server_errors.explained(doing="Looking for evidence", state=NOTHING_CHANGED):
            is_there = standing_by.has_evidence(self._writer, EvidenceTables(name=name))
        if not is_there:
            self._make(name, self._writer, None)

    def _make(self, name: str, writer: Connection, witnessed: Witnessed | None) -> None:
        request, key = self._request, self._key
        assert request is not None  # noqa: S101 - there is no key without
        assert key is not None  # noqa: S101 - looked at by the callers
        started = time.monotonic()
        try:
            with connected(self._dsn) as reader, connected(self._dsn) as aside:
                made = make_evidence(
                    writer,
                    (reader, aside),
                    AnchorRequest(
                        dsn=self._dsn,
                        key=request.key,
                        folder=request.folder,
                        refactor=name,
                        ticket=request.ticket,
                        requester=request.requester,
                        approver=request.approver,
                        operator=request.operator,
                    ),
                    key,
                    witnessed=witnessed,
                )
        except RefactorkitError as error:
            self._fail(name, f"{error.message} {error.hint}".rstrip())
        except KeyboardInterrupt:
            self._fail(name, "It was interrupted.")
        else:
            self._outcomes.append(
                EvidenceOutcome(refactor=name, asked=True, made=made, problem=_untied(made))
            )
        self.seconds += time.monotonic() - started

    def _fail(self, name: str, problem: str) -> None:
        _log.error("evidence.not_made")
        self._outcomes.append(EvidenceOutcome(refactor=name, asked=True, problem=problem))


def _untied(made: AnchorResult) -> str:
    """Say of which tables the evidence is not what the change left behind."""
    loose = [
        f"{tie.table} ({tie.written_since} rows)" if tie.written_since else tie.table
        for tie in made.manifest.ties
        if tie.state == "changed since"
    ]
    if not loose:
        return ""
    tables = ", ".join(loose)
    return f"Written to before its leaves were made, and so not as the change left it: {tables}."
