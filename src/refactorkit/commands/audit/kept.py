"""Evidence by its file, or by the copy that the archive keeps."""

from pathlib import Path

from refactorkit.commands.audit.files import EvidenceFile
from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.evidence_tables import EvidenceTables, refactors_with_evidence


def evidence_of(
    connection: Connection, path: Path | None, name: str | None, dsn: Dsn
) -> EvidenceFile:
    """Return the evidence of a file, or the newest that the archive has a copy of.

    Args:
        connection: to the database.
        path: of the file; None for the copy.
        name: of the refactor, where the copy is meant and the database has run several.
        dsn: how to speak of the database.

    Raises:
        UsageError: the file cannot be read, or it is not clear which refactor is meant.
        RefusedError: it is no evidence, or there is none.
    """
    if path is not None:
        return EvidenceFile.read(path)
    names = refactors_with_evidence(connection)
    if name is None and len(names) > 1:
        raise UsageError(
            f"This database has evidence of several refactors: {', '.join(names)}.",
            state=NOTHING_CHANGED,
            hint="Name one: --refactor NAME, or give the evidence's file.",
        )
    wanted = name or next(iter(names), None)
    kept = None
    if wanted in names:
        kept = EvidenceTables(name=wanted).latest(connection)
    if kept is None:
        raise RefusedError(
            f"There is no evidence in the archive of {dsn.describe()}.",
            state=NOTHING_CHANGED,
            hint="Give the file that audit anchor wrote, or make evidence with audit anchor.",
        )
    return EvidenceFile.parse(kept, f"The copy in archive.{wanted}_evidence")
