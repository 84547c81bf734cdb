"""Read a migration file, statement by statement, exactly as goose reads it.

goose reads a file once for each direction and looks only at that direction's statements, so a file
may be broken for one direction and sound for the other. This module does the same, line by line,
odd corners included. Source: goose v3.27.3, as observed.
"""

import hashlib
from collections.abc import Mapping
from enum import Enum, auto

from refactorkit.migrations.annotations import (
    Annotation,
    AnnotationError,
    is_annotation,
    read_annotation,
)
from refactorkit.migrations.envsub import InterpolationError, interpolate
from refactorkit.migrations.lines import (
    BYTE_ORDER_MARK,
    LIMIT_BYTES,
    Lines,
    ends_with_semicolon,
    is_comment,
    split_lines,
    trim,
)
from refactorkit.migrations.model import Direction, Migration, Script, Statement
from refactorkit.migrations.names import read_name


def parse(content: bytes, *, file: str, environ: Mapping[str, str]) -> Migration:
    """Read the bytes of one file.

    Any bytes can be read: what goose would refuse is said in ``Script.error``, for each direction
    on its own, as ``file:line: what is wrong. What to do.``

    Args:
        content: the file's bytes.
        file: its name without the folder.
        environ: the variables for ENVSUB.

    Raises:
        RefusedError: the file's *name* is not one of a migration.
    """
    name = read_name(file)
    lines = split_lines(content)
    up, transaction_up = _read(lines, Direction.UP, file, environ)
    down, transaction_down = _read(lines, Direction.DOWN, file, environ)
    return Migration(
        version=name.version,
        name=name.name,
        file=file,
        checksum=hashlib.sha256(content).hexdigest(),
        transaction=transaction_up and transaction_down,
        up=up,
        down=down,
    )


def _read(
    lines: Lines, direction: Direction, file: str, environ: Mapping[str, str]
) -> tuple[Script, bool]:
    reader = _Reader(direction, environ)
    error = None
    try:
        for number, line in enumerate(lines.texts, start=1):
            reader.read(line, number)
        reader.finish(lines.too_long)
    except _ScriptError as problem:
        error = f"{file}:{problem.line}: {problem}"
    statements = () if error else tuple(reader.statements)
    return Script(statements=statements, error=error, line=reader.begun), reader.transaction


class _ScriptError(ValueError):
    """What goose refuses, and on which line."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


class _Block(Enum):
    """Where a line stands towards ``StatementBegin`` and ``StatementEnd``."""

    OUTSIDE = auto()
    INSIDE = auto()
    CLOSED = auto()
    """After a StatementEnd that ended no text: the next line of text is swallowed (goose does)."""


class _Reader:
    """goose's state machine, for one direction of one file.

    Attributes:
        statements: the statements of the direction, so far.
        transaction: False once NO TRANSACTION was read.
        begun: the line of the direction's annotation, once it was read.
    """

    def __init__(self, direction: Direction, environ: Mapping[str, str]) -> None:
        self.statements: list[Statement] = []
        self.transaction = True
        self.begun: int | None = None
        self._direction = direction
        self._environ = environ
        self._envsub = False
        self._section: Direction | None = None
        self._block = _Block.OUTSIDE
        self._block_line = 0
        self._buffer: list[str] = []
        self._buffer_line: int | None = None
        self._line = 0

    def read(self, line: str, number: int) -> None:
        """Take the next line."""
        self._line = number
        if self._section is None and not trim(line):
            return
        if is_annotation(line) and self._obey(line):
            return
        if not self._buffer and (not line or is_comment(line)):
            return
        if self._section is None:
            raise self._before_up(line)
        self._text(line)

    def finish(self, too_long: int | None) -> None:
        """Take the end of the file, or the line that is too long to be read."""
        if too_long is not None:
            raise _ScriptError(
                too_long,
                f"the line has {LIMIT_BYTES:,} bytes or more, and goose reads none so long. "
                "Break it into several lines.",
            )
        if self._section is None:
            raise _ScriptError(
                max(self._line, 1),
                f"the file ends without {Annotation.UP.shown}. Put that line before the first "
                "statement.",
            )
        if self._block is _Block.INSIDE:
            raise _ScriptError(
                self._block_line,
                f"the block that begins here has no {Annotation.STATEMENT_END.shown}. Put that "
                "line after its last statement.",
            )
        self._refuse_unfinished("the end of the file")

    def _obey(self, line: str) -> bool:
        """Do what an annotation says; False where its line is looked at further."""
        try:
            annotation = read_annotation(line)
        except AnnotationError as problem:
            raise _ScriptError(self._line, str(problem)) from None
        match annotation:
            case Annotation.UP:
                self._begin_up()
            case Annotation.DOWN:
                self._begin_down()
            case Annotation.STATEMENT_BEGIN:
                self._begin_block()
            case Annotation.STATEMENT_END:
                if self._block is not _Block.INSIDE:
                    raise self._misplaced(
                        annotation,
                        "no block is open",
                        f"Put {Annotation.STATEMENT_BEGIN.shown} before the statement, or take "
                        "this line out",
                    )
                self._block = _Block.CLOSED
                return False
            case Annotation.NO_TRANSACTION:
                self.transaction = False
            case Annotation.ENVSUB_ON | Annotation.ENVSUB_OFF:
                self._envsub = annotation is Annotation.ENVSUB_ON
        return True

    def _begin_up(self) -> None:
        if self._section is not None:
            raise self._misplaced(
                Annotation.UP,
                "there is one above",
                "Put all the statements of Up below the first one, and no second one anywhere",
            )
        self._begin(Direction.UP)

    def _begin_down(self) -> None:
        if self._section is None:
            raise self._misplaced(
                Annotation.DOWN,
                f"there is no {Annotation.UP.shown} above",
                "Put that line, and the statements of Up, before it",
            )
        if self._block is _Block.INSIDE:
            raise self._misplaced(
                Annotation.DOWN,
                f"the block of line {self._block_line} is still open",
                f"Close it with {Annotation.STATEMENT_END.shown}",
            )
        if self._section is Direction.DOWN:
            raise self._misplaced(
                Annotation.DOWN,
                "there is one above",
                "Put all the statements of Down below the first one",
            )
        self._refuse_unfinished(f"{Annotation.DOWN.shown} on line {self._line}")
        self._begin(Direction.DOWN)

    def _begin(self, section: Direction) -> None:
        self._section = section
        self._block = _Block.OUTSIDE
        if section is self._direction:
            self.begun = self._line

    def _begin_block(self) -> None:
        if self._section is None:
            raise self._misplaced(
                Annotation.STATEMENT_BEGIN,
                f"there is no {Annotation.UP.shown} above",
                "Put that line before the first statement",
            )
        if self._block is _Block.INSIDE:
            raise self._misplaced(
                Annotation.STATEMENT_BEGIN,
                f"the block of line {self._block_line} is still open",
                f"Close it with {Annotation.STATEMENT_END.shown}; blocks do not nest",
            )
        self._block = _Block.INSIDE
        self._block_line = self._line

    def _text(self, line: str) -> None:
        """Take a line that belongs to a statement, or ends a block."""
        if self._block is not _Block.CLOSED:
            if self._envsub:
                # Also in the other direction's section: an error there is one in both.
                line = self._interpolated(line)
            self._add(line)
        if self._section is not self._direction:
            self._forget()
        elif self._block is _Block.CLOSED:
            self._store()
            self._block = _Block.OUTSIDE
        elif self._block is _Block.OUTSIDE and ends_with_semicolon(line):
            self._store()

    def _interpolated(self, line: str) -> str:
        try:
            return interpolate(line, self._environ)
        except InterpolationError as problem:
            raise _ScriptError(self._line, str(problem)) from None

    def _add(self, line: str) -> None:
        # Leading blank lines are trimmed away in the end, so no statement begins with them.
        if self._buffer_line is None and trim(line):
            self._buffer_line = self._line
        self._buffer.append(line)

    def _store(self) -> None:
        text = trim("\n".join(self._buffer))
        self.statements.append(Statement(text=text, line=self._buffer_line or self._line))
        self._forget()

    def _forget(self) -> None:
        self._buffer.clear()
        self._buffer_line = None

    def _refuse_unfinished(self, end: str) -> None:
        if self._buffer_line is not None:
            raise _ScriptError(
                self._buffer_line,
                f"the statement that begins here has no semicolon at the end of a line before "
                f"{end}. End its last line with ';' (a comment may follow after a space), or put "
                f"it between {Annotation.STATEMENT_BEGIN.shown} and "
                f"{Annotation.STATEMENT_END.shown}.",
            )

    def _before_up(self, line: str) -> _ScriptError:
        if line.startswith(BYTE_ORDER_MARK):
            return _ScriptError(
                self._line,
                "the file begins with a byte order mark, which goose takes for SQL. Save it as "
                "UTF-8 without one.",
            )
        return _ScriptError(
            self._line,
            f"there is text before {Annotation.UP.shown}, where only blank lines and '--' comments "
            "may stand. Move it below that line.",
        )

    def _misplaced(self, annotation: Annotation, why: str, remedy: str) -> _ScriptError:
        return _ScriptError(self._line, f"{annotation.shown} cannot stand here: {why}. {remedy}.")
