"""Turn a mapping into its migration file, or hold the two together."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from refactorkit.commands.atomic_file import write_atomically
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import FailedError
from refactorkit.mapping.compile import compile_migration, mapping_hash
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.parser import parse
from refactorkit.migrations.sql_tokens import Kind, tokenize

DEFAULT_MAPPING = Path("archive/patients.toml")


@dataclass(frozen=True, kw_only=True)
class CompileRequest:
    """What to compile.

    Attributes:
        mapping: the mapping file.
        directory: the folder of migrations, where the file goes by the name the mapping gives it.
        output: another place for it.
        check: only compare; write nothing.
    """

    mapping: Path
    directory: Path
    output: Path | None = None
    check: bool = False


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How a file differs from what its mapping compiles to.

    Attributes:
        line: the first line (from 1) that differs.
        found: that line of the file; None where the file has ended, or is not there.
        expected: that line as compiled; None where the compiled text has ended.
        missing: lines that the file lacks.
        surplus: lines that the file has beyond.
    """

    line: int
    found: str | None
    expected: str | None
    missing: int
    surplus: int


@dataclass(frozen=True, kw_only=True)
class CompileResult:
    """What came of it.

    Attributes:
        mapping: the mapping file.
        output: the migration file.
        version: the migration's version.
        mapping_hash: SHA-256 of the mapping's meaning, as the migration records it, hexadecimal.
        lines: how many lines the migration has.
        written: whether the file was written; one that says the same already is left alone.
        difference: what was different before; None where nothing was.
    """

    mapping: Path
    output: Path
    version: int
    mapping_hash: str
    lines: int
    written: bool
    difference: Difference | None

    @property
    def verdict(self) -> Verdict:
        """PASS where the file is what its mapping compiles to."""
        return Verdict.PASS if self.difference is None or self.written else Verdict.FAIL


def compile_mapping(request: CompileRequest) -> CompileResult:
    """Compile the mapping, and write the migration where it says something else.

    Raises:
        UsageError: there is no such mapping, or no such folder.
        RefusedError: the mapping is not sound; every error has its line.
        FailedError: a file cannot be read or written.
    """
    mapping = load_mapping(request.mapping)
    text = compile_migration(mapping)
    _must_be_readable(text, mapping.migration)
    output = request.output or request.directory / mapping.migration
    content = text.encode()
    before = _content_of(output)
    difference = None if before == content else _difference(before, content)
    written = difference is not None and not request.check
    if written:
        write_atomically(output, content)
    return CompileResult(
        mapping=request.mapping,
        output=output,
        version=mapping.version,
        mapping_hash=mapping_hash(mapping),
        lines=text.count("\n"),
        written=written,
        difference=difference,
    )


def _must_be_readable(text: str, file: str) -> None:
    """Refuse to write what a runner would take apart in the wrong places."""
    migration = parse(text.encode(), file=file, environ={})
    for script in (migration.up, migration.down):
        wrong = script.error
        for statement in script.statements:
            *_, last = tokenize(statement.text)
            if last.kind is not Kind.SIGN or last.text != ";":
                wrong = wrong or f"line {statement.line}: a statement ends in its middle"
        if wrong is not None:
            raise FailedError(
                f"The compiled migration cannot be run: {wrong.rstrip('.')}.",
                state="No file was written.",
                hint="This is a defect in refactorkit: please report it with the mapping.",
            )


def _content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FailedError(
            f"The file {path} cannot be read: {error.strerror or 'an error of the system'}.",
            state="No file was written.",
        ) from error


def _difference(before: bytes | None, after: bytes) -> Difference:
    # A file of any bytes is compared; line endings, too.
    found = (before or b"").decode("utf-8", "backslashreplace").split("\n")
    expected = after.decode().split("\n")
    if before is None:
        found = []
    first = next(
        (i for i, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]),
        min(len(found), len(expected)),
    )
    missing = surplus = 0
    matcher = difflib.SequenceMatcher(None, found[first:], expected[first:], autojunk=False)
    for tag, found_from, found_to, expected_from, expected_to in matcher.get_opcodes():
        if tag != "equal":
            surplus += found_to - found_from
            missing += expected_to - expected_from
    return Difference(
        line=first + 1,
        found=found[first] if first < len(found) else None,
        expected=expected[first] if first < len(expected) else None,
        missing=missing,
        surplus=surplus,
    )
