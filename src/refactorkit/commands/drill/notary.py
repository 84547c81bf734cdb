"""Evidence of the drill's cutover: signed by a key that nobody keeps, then held to the rows."""

from dataclasses import dataclass, field
from pathlib import Path

from refactorkit.commands.audit.anchor import AnchorRequest, anchor
from refactorkit.commands.audit.files import KEY_VARIABLE, KeySource, write_new
from refactorkit.commands.audit.verify import AuditVerifyRequest, AuditVerifyResult, audit_verify
from refactorkit.commands.drill.steps import Outcome
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError
from refactorkit.evidence.keys import SigningKey
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.verification import Difference

_REFACTOR = "patients"


@dataclass(kw_only=True)
class Notary:
    """Signs what a cutover left behind, and looks later whether that is still so.

    The secret key is in the memory of this process alone.

    Attributes:
        dsn: the throwaway database.
        folder: for the evidence's file and the public key; goes with the drill.
        limit: how many differences are listed.
    """

    dsn: Dsn
    folder: Path
    limit: int
    _key: SigningKey = field(default_factory=SigningKey.generate, repr=False)

    def sign(self) -> Outcome:
        """Make evidence of the last turn: leaves, trees, a signed manifest.

        Where it is refused (the copied archive is of a role that nobody can log in as), that is no
        fault of the migration, and no pass.

        Raises:
            RefactorkitError: as ``audit anchor``.
        """
        write_new(self._public, self._key.public.pem)
        secret = KeySource(path=None, environ={KEY_VARIABLE: self._key.secret_pem().decode()})
        request = AnchorRequest(dsn=self.dsn, key=secret, out=self._evidence, refactor=_REFACTOR)
        try:
            made = anchor(request)
        except RefusedError as error:
            return Outcome(lacking=" ".join(filter(None, (error.message, error.hint))))
        is_of_it = made.verdict is Verdict.PASS
        return Outcome(
            rows=sum(tree.rows for tree in made.manifest.trees),
            lacking="" if is_of_it else "It is not of exactly what the cutover left behind.",
        )

    def verify(self) -> Outcome:
        """Hold every row and definition against the evidence, and its signature against the key.

        Raises:
            RefactorkitError: as ``audit verify``.
        """
        if not self._evidence.exists():
            return Outcome(lacking="There is no evidence.")
        return _outcome(
            audit_verify(
                AuditVerifyRequest(
                    dsn=self.dsn, evidence=self._evidence, keys=(self._public,), limit=self.limit
                )
            )
        )

    @property
    def _evidence(self) -> Path:
        return self.folder / "evidence.json"

    @property
    def _public(self) -> Path:
        return self.folder / "drill.key.pub"


def _outcome(found: AuditVerifyResult) -> Outcome:
    others = [
        Difference(table=each.name, row_id="", column="", what=each.what) for each in found.changes
    ]
    others += [
        Difference(table="evidence", row_id="", column="", what="signature is not valid")
        for each in found.signatures
        if not each.is_valid
    ]
    rows = [difference for tree in found.trees for difference in tree.listed]
    differences = sum(tree.differences for tree in found.trees) + len(others)
    is_open = found.verdict is not Verdict.PASS and not differences
    return Outcome(
        rows=sum(tree.verified for tree in found.trees),
        differences=differences,
        listed=(*others, *rows),
        lacking="Not everything that was signed could be compared." if is_open else "",
    )
