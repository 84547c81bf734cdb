"""Evidence for tests: a key, an anchored database, what an audit says of it."""

from dataclasses import dataclass
from pathlib import Path

import psycopg

from refactorkit.commands.audit.anchor import AnchorRequest, AnchorResult, anchor
from refactorkit.commands.audit.files import KeySource
from refactorkit.commands.audit.keygen import keygen
from refactorkit.commands.audit.verify import AuditVerifyRequest, AuditVerifyResult, audit_verify
from refactorkit.postgres import evidence_facts
from refactorkit.postgres.anchoring import places_of
from refactorkit.postgres.digests import pinned
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.refactors import last_turns


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A key in a folder of its own, where its evidence goes too."""

    folder: Path
    secret: Path
    public: Path

    @classmethod
    def new(cls, folder: Path, name: str = "key") -> "Signer":
        made = keygen(folder / name)
        return cls(folder=folder, secret=made.secret, public=made.public)

    @property
    def source(self) -> KeySource:
        return KeySource(path=self.secret, environ={})

    def anchor(
        self, url: str, name: str = "evidence.json", *, refactor: str | None = None
    ) -> AnchorResult:
        return anchor(
            AnchorRequest(
                dsn=Dsn.parse(url), key=self.source, out=self.folder / name, refactor=refactor
            )
        )

    def verify(
        self,
        url: str,
        evidence: Path | None = None,
        *,
        allow_edits: bool = False,
        keys: tuple[Path, ...] | None = None,
    ) -> AuditVerifyResult:
        return audit_verify(
            AuditVerifyRequest(
                dsn=Dsn.parse(url),
                evidence=evidence,
                keys=(self.public,) if keys is None else keys,
                allow_edits=allow_edits,
            )
        )


def said(result: AuditVerifyResult) -> set[tuple[str, str, str, str]]:
    """Everything that an audit names: table, id, column, what; or kind, name, '', what."""
    rows = {(d.table, d.row_id, d.column, d.what) for tree in result.trees for d in tree.listed}
    return rows | {(each.kind, each.name, "", each.what) for each in result.changes}


def states_of_ties(connection: psycopg.Connection) -> list[str]:
    """Whether source and target are still what the last turn recorded of them."""
    (turn,) = last_turns(connection)
    assert turn.mapping is not None
    with pinned(connection, read_only=True):
        facts = evidence_facts.turn_facts(connection, turn.name, turn.number)
        places = places_of(turn.mapping, turn.direction)
        return [tie().state for tie in evidence_facts.ties(connection, turn.mapping, places, facts)]
