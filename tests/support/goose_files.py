"""Made-up migration files: well-formed ones, and ones that look for trouble."""

from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

ENVIRON = {"V": "value;", "EMPTY": "", "LINES": "x;\ny", "WIDE": "é€", "É": "accent"}

_ANNOTATIONS = (
    "-- +goose Up",
    "-- +goose Down",
    "-- +goose StatementBegin",
    "-- +goose StatementEnd",
    "-- +goose NO TRANSACTION",
    "-- +goose ENVSUB ON",
    "-- +goose ENVSUB OFF",
)
_ODD_ANNOTATIONS = (
    "--+goose up",
    "-- Up +goose",
    "-- +gooseDown",
    "-- +goose \u017ftatementend",
    "-- +goose NO  TRANSACTION",
    "-- see +goose docs",
    "-- +goose",
    " -- +goose Up",
    "\t-- +goose Down",
    "\v-- +goose Up",
    "\u00a0-- +goose Down",
    "-- +Goose Up",
    "-- +goose +goose Up",
    "-- +go--ose Up",
    "select 1; -- +goose Down",
)
_SQL = (
    "select 1;",
    "select 2",
    "select 1; select 2;",
    "select 1;--c",
    "select 1; --c",
    "; /* c */",
    "'a;",
    ";",
    "-- c",
    "-- c;",
    "  -- c",
    "",
    "",
    "   ",
    "\t",
    "\u00a0",
    "/* c */",
    "create table t (",
    "a\u00a0;",
    "b;\x1c",
    "\x1c-- z;",
    "c;\u2003",
    "d;\x85",
    "e; \ufeff",
    "nul \0;",
    "\udcff;",
    "\udce2\udc80 x;",
    "'\udced\udca0\udc80';",
)
_VARIABLES = (
    "$V",
    "${V}",
    "${V:-d}",
    "${V-d}",
    "${V?m}",
    "${GONE}",
    "${GONE:-d;}",
    "${GONE-$V}",
    "${GONE?m $V}",
    "${GONE:-${GONE?q}}",
    "${V:-${GONE?q}}",
    "${EMPTY:-d}",
    "${EMPTY-d}",
    "${EMPTY?m}",
    "$EMPTY;",
    "$LINES",
    "$É;",
    "$_V",
    "$V_1",
    "$$",
    "$$V;",
    "\\$V;",
    "\\\\$V",
    "\\",
    "$(a)",
    "$1",
    "$",
    "x $ y",
    "${V:1}",
    "${V:1:2};",
    "${V: -1}",
    "${V: -9:-1};",
    "${V:+1}",
    "${V:x}",
    "${V:000000000000000000000001:1}",
    "${V:9223372036854775808}",
    "${V:1\ufffd1};",
    "${WIDE:1:2};",
    "${V",
    "${V:",
    "${",
    "${V:=x}",
    "${GONE:-\\}}",
    "${GONE:-\\$};",
    "${GONE:-a\ufffdb};",
    "${GONE:-a\udcffb};",
    "$V\udcff;",
    "$\udcff",
    "}",
    "-- $1",
    "-- ${GONE?m};",
)


def troublesome_file(random: Random) -> bytes:
    """Make a file out of pieces that goose's rules are about; goose accepts some of them."""
    lines = []
    if random.random() < 0.5:
        lines.append("-- +goose ENVSUB ON")
    if random.random() < 0.9:
        lines.append("-- +goose Up")
    groups = (_ANNOTATIONS, _ODD_ANNOTATIONS, _SQL, _VARIABLES)
    weights = (20, 2, 60, 25 if lines[:1] == ["-- +goose ENVSUB ON"] else 5)
    for _ in range(random.randrange(14)):
        pieces = random.choices((1, 2), (9, 1))[0]
        (group,) = random.choices(groups, weights)
        lines.append("".join(random.choice(group) for _ in range(pieces)))
    ends = (b"\n", b"\n", b"\n", b"\r\n", b"\r\r\n")
    content = b"".join(
        line.encode("utf-8", "surrogateescape") + random.choice(ends) for line in lines
    )
    if random.random() < 0.3:
        content = content[:-1]
    return b"\xef\xbb\xbf" + content if random.random() < 0.02 else content


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """A well-formed file, and what was written into it."""

    content: bytes
    up: tuple[str, ...]
    down: tuple[str, ...] | None
    transaction: bool


def _is_kept(line: str) -> bool:
    return "+goose" not in line


_line = st.text(
    st.characters(exclude_characters="\n\r$\\", exclude_categories=["Cs"]), max_size=20
).filter(_is_kept)
_word = st.text("abc 'é\"();", min_size=1, max_size=8).map(lambda text: f"x{text}x")
_comment = st.sampled_from(["", "-- why", "  -- why;", "", "--"])


@st.composite
def _plain_statement(draw: st.DrawFn) -> str:
    """A statement that ends at its first line end behind a semicolon."""
    inner = draw(st.lists(st.one_of(_word, _comment), max_size=3))
    return "\n".join([draw(_word), *inner, draw(_word) + draw(st.sampled_from([";", " ;"]))])


@st.composite
def _block_statement(draw: st.DrawFn) -> str:
    """A statement for a block: any lines that are trimmed already, whatever they say."""
    inner = draw(st.lists(_line, max_size=4))
    return "\n".join([draw(_word), *inner, draw(_word)])


@st.composite
def _section(draw: st.DrawFn) -> tuple[tuple[str, ...], list[str]]:
    """Statements, and the lines that say them."""
    statements: list[str] = []
    lines: list[str] = []
    for _ in range(draw(st.integers(0, 4))):
        lines += draw(st.lists(_comment, max_size=2))
        if draw(st.booleans()):
            statements.append(draw(_block_statement()))
            lines += ["-- +goose StatementBegin", statements[-1], "-- +goose StatementEnd"]
        else:
            statements.append(draw(_plain_statement()))
            tail = draw(st.sampled_from(["", " ", "\t"]))
            lines.append(draw(st.sampled_from(["", "  "])) + statements[-1] + tail)
    lines += draw(st.lists(_comment, max_size=2))
    return tuple(statements), lines


@st.composite
def well_formed_files(draw: st.DrawFn) -> WrittenFile:
    """Draw a file without variables that goose accepts in both directions."""
    up, lines = draw(_section())
    lines = [*draw(st.lists(_comment, max_size=2)), "-- +goose Up", *lines]
    down = None
    if draw(st.booleans()):
        down, more = draw(_section())
        lines += ["-- +goose Down", *more]
    transaction = draw(st.booleans())
    if not transaction:
        annotations = [n for n, line in enumerate(lines) if line.startswith("-- +goose")]
        lines.insert(draw(st.sampled_from([0, *annotations])), "-- +goose NO TRANSACTION")
    if draw(st.booleans()):
        lines.insert(0, "-- +goose ENVSUB ON")
    end = draw(st.sampled_from(["\n", "\r\n"]))
    content = "\n".join(lines).replace("\n", end) + draw(st.sampled_from(["", end]))
    return WrittenFile(content=content.encode(), up=up, down=down, transaction=transaction)
