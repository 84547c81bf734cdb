"""Before an online cutover: is this the database that is meant, and does the operator say yes?"""

from refactorkit.commands.online.model import OnlineRequest
from refactorkit.commands.online.session import session
from refactorkit.commands.operation.model import Confirm, Expectation, Question, refuse_a_no
from refactorkit.errors import NOTHING_CHANGED
from refactorkit.postgres.identity import identify
from refactorkit.postgres.server_errors import explained


def introduce(request: OnlineRequest, expect: Expectation, confirm: Confirm | None) -> None:
    """Compare the database with what is expected, and ask; nothing is changed.

    Args:
        request: what is to be cut over.
        expect: which database is meant.
        confirm: asks the operator; None: they have said yes already.

    Raises:
        RefusedError: it is another database, or the operator said no.
        RefactorkitError: as ``session``.
    """
    with session(request, alone=False) as opened:
        with explained(doing="Asking which database this is", state=NOTHING_CHANGED):
            identity = identify(opened.connection)
        expect.refuse_another(identity)
        if confirm is None or opened.is_switched:
            return
        staged = opened.staged()
        remarks = () if staged is None else (f"{staged.subjects:,} rows are staged already.",)
        question = Question(
            operation="cutover --online",
            identity=identity,
            before=opened.version,
            after=opened.mapping.version,
            files=(opened.mapping.migration,),
            remarks=remarks,
        )
    refuse_a_no(confirm(question))
