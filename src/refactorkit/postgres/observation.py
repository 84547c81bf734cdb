"""Watching a run from within: what the runner tells of each statement, and who wants to hear it."""

from collections.abc import Callable, Sequence

from refactorkit.migrations.model import Statement
from refactorkit.migrations.plan import Step


class Observer:
    """Hears of a run, step by step; does nothing by itself.

    Its methods are called on the runner's own thread, with the connection free for queries where
    that is said. An error of theirs ends the attempt like one of the file.
    """

    def begin(self, step: Step, *, attempt: int) -> None:
        """Hear that a file begins, or begins again; no transaction is open yet."""

    def before(self, statement: Statement) -> None:
        """Hear that a statement is about to be sent; nothing may be asked here."""

    def after(self, statement: Statement, tags: Sequence[str]) -> None:
        """Hear that a statement has run.

        Its transaction is open, if the file has one, and may be asked; nothing may be asked after
        a statement that has only set something, which would take a snapshot.

        Args:
            statement: the statement.
            tags: what the server answered to each command of it, such as ``UPDATE 3``.
        """

    def before_end(self, allow: Callable[[], None]) -> None:
        """Hear that all has run, the version row included; the transaction is still open.

        Args:
            allow: to be called before each query of the observer's own: it gives it the time that
                is left to the transaction, and raises where none is.
        """

    def ended(self, *, committed: bool) -> None:
        """Hear that the file's transaction has ended, or the file, where it has none."""

    def done(self, step: Step) -> None:
        """Hear that a file is done and committed, before the next one begins; must not raise."""
