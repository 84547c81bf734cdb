"""Before an online cutover: is this the database that is meant, and does the operator say yes?"""

from refactorkit.commands.online.model import OnlineRequest
from refactorkit.commands.online.session import session
from refactorkit.commands.operation.deletions import DELETIONS, deleted_since, refuse_deletions
from refactorkit.commands.operation.model import (
    Confirm,
    Deletion,
    Expectation,
    Question,
    refuse_a_no,
)
from refactorkit.errors import NOTHING_CHANGED
from refactorkit.postgres.identity import identify
from refactorkit.postgres.server_errors import explained


def introduce(
    request: OnlineRequest,
    expect: Expectation,
    confirm: Confirm | None,
    *,
    goes_on: bool = True,
) -> None:
    """Compare the database with what is expected, and ask; nothing is changed.

    Args:
        request: what is to be cut over.
        expect: which database is meant.
        confirm: asks the operator; None: they have said yes already.
        goes_on: whether it goes towards the new version: what was deleted since the last rollback
            has to be accepted then, at each step of the way.

    Raises:
        RefusedError: it is another database, there are deletions that nobody accepted, or the
            operator said no.
        RefactorkitError: as ``session``.
    """
    with session(request, alone=False) as opened:
        with explained(doing="Asking which database this is", state=NOTHING_CHANGED):
            identity = identify(opened.connection)
        expect.refuse_another(identity)
        if opened.is_switched:
            return
        deletions: tuple[Deletion, ...] = ()
        if goes_on and DELETIONS not in request.accept:
            first = opened.step().migration
            deletions = deleted_since(opened.connection, [opened.mapping], first)
        if confirm is None:
            refuse_deletions(deletions)
            return
        staged = opened.staged()
        remarks = () if staged is None else (f"{staged.subjects:,} rows are staged already.",)
        question = Question(
            operation="cutover --online",
            identity=identity,
            before=opened.version,
            after=opened.mapping.version,
            files=(opened.mapping.migration,),
            deletions=deletions,
            remarks=remarks,
        )
    refuse_a_no(confirm(question))
