"""What several parts of a mapping must agree on: each rule refuses, with the line."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from refactorkit.errors import RefusedError
from refactorkit.mapping.load import parse_mapping

MAPPINGS = Path(__file__).parents[1] / "mappings"
ORDERS = (MAPPINGS / "orders.toml").read_text()

COPY = 'timestamp = { column = "timestamp" }'
SPLIT = 'source = "select"'
CASE = 'source = "case"'
LIMIT = 'source = "limit"'
NULL = 'source = "null"'
END = 'source = "end"\ncodec = "archive"'
AFTER = "[[link]]"

# What is replaced (once), by what, the text on whose line the error is (HERE: that
# of what is replaced), and what it says.
TABLES = [
    ('table = "join"', 'table = "in"', "HERE", "table in has a part already, under link"),
    ('table = "grant"', 'table = "order"', 'table = "order"\nkey = ["to"]', "under source"),
    ('table = "constraint"', 'table = "user"', 'table = "user"\nkey = "window"', "under target"),
]  # fmt: skip
SOURCE = [
    ('key = "primary"', 'key = "id"', 'key = "id"', "no column id in [source.columns]"),
    ('primary = "integer NOT NULL serial', 'primary = "integer NOT NULL', "HERE",
     "must be integer NOT"),
    ('primary = "integer', 'primary = "bigint', "primary = ", "keys must be of one type"),
    ('touched = "timestamp"', 'touched = "time"', "touched =", "no column time in [source.col"),
    ('touched = "timestamp"', 'touched = "end"', 'end = "bigint"', "must be timestamp with time"),
    ('owner = "user"', 'owner = "customer"', "owner =", "no column customer"),
    ('owner = "user"', 'owner = "end"', "owner =", "needs a foreign key to user"),
    ('user = "integer NOT NULL"\nselect', 'user = "bigint"\nselect', "HERE",
     "user must be integer"),
    ('named = "select"\nnamed_by = "authorization"', "", "owner =", "needs `named_by`"),
    ('column = "user"\nreferences', 'column = "no"\nreferences', 'column = "no"',
     "no column no in"),
    ('references = "user"\nreferences_key = "unique"\non_delete = "RESTRICT"',
     'references = "order"', 'references = "order"', "to itself is not supported"),
    ('references = "user"\nreferences_key = "unique"\non_delete = "RESTRICT"',
     'references = "constraint"', 'references = "constraint"', "before version 31 brings it"),
    ('references_key = "unique"\non_delete = "RESTRICT"', 'references_key = "id"',
     'references_key = "id"', "references_key = 'unique'"),
    ('case = "text"\nlimit = "integer"\nnull = "boolean"\ntime',
     'case = { is = "text", existing = "1" }\nlimit = "integer"\nnull = "boolean"\ntime',
     'case = { is = "text", existing', "`existing` is for a column that is added"),
    ('end = "bigint"', 'end = "json"', 'end = "json"', "type json has no hash"),
    ('end = "bigint"', 'end = "bit varying(3)[]"', "end =", "bit varying(3)[] has no hash"),
]  # fmt: skip
TARGET = [
    ('\nkey = "unique"', '\nkey = "id"', 'key = "id"', "no column id in [target.columns]"),
    ('default = "boolean', 'left = "boolean', "[target.adds] > left =", "left is there already"),
    ('table = "text NOT NULL DEFAULT \'in\'::text"', 'table = "text NOT NULL"', 'table = "text NOT',
     "say by DEFAULT or `existing`"),
    ('all = "boolean NOT NULL DEFAULT false"',
     'all = { is = "boolean NOT NULL DEFAULT false", existing = "null" }', "all = ",
     "say by DEFAULT"),
    ('not = "timestamp with time zone"', 'not = "integer NOT NULL serial"', "HERE",
     "cannot be serial"),
    ('group = "\'none\'::text"', 'limit = "1"', 'limit = "1"', "no column of [target.columns]"),
    ('group = "\'none\'::text"', 'unique = "1"', 'unique = "1"', "is serial: its default"),
    ('index = ["case", "limit"]', 'index = ["case", "fax"]', "index = ", "no column fax to index"),
    ('index = ["case", "limit"]', 'index = ["case", "case"]', "index = ", "case is named twice"),
    ('column = "from"', 'column = "limit"', 'column = "limit"',
     "no column limit in [target.columns]"),
    ('references = "user"\nreferences_key = "unique"\non_delete = "SET NULL"',
     'references = "order"', 'references = "order"', "order goes away"),
]  # fmt: skip
PARTS = [
    ('key = "for"', 'key = "no"', 'key = "no"', "no column no in [link.columns]"),
    ('key = "for"', 'key = "order"', 'column = "order"\nbecomes = "user"', "cannot be the column"),
    ('column = "order"\nbecomes = "user"', 'column = "no"\nbecomes = "user"', 'column = "no"',
     "no column"),
    ('order = "integer"\nanalyze', 'order = "bigint"\nanalyze', 'order = "bigint"',
     "must be integer"),
    ('for = "bigint NOT NULL serial"', 'for = "bigint"', "for = ", "a key must be NOT NULL"),
    ('becomes = "user"', 'becomes = "analyze"', 'becomes = "analyze"',
     "has a column analyze already"),
    ('becomes = "user"', 'becomes = "both"', 'becomes = "both"', "has a column both already"),
    ('foreign_key_becomes = "outer"', 'foreign_key_becomes = "inner"', 'becomes = "inner"',
     "of its own"),
    ('asc = "desc"', 'asc = "asc"', "asc = ", "need not be named"),
    ('both = "text"', 'analyze = "text"', "HERE", "analyze is there already"),
    ('both = "text"', 'turn = "text"', '[[link]] < table = "in"', "keeps a turn of its own"),
    ('key = ["to"]', 'key = ["to", "to"]', 'key = ["to", "to"]', "to is named twice"),
    ('[["with", "user"]]', '[["with", "with"]]', "unique = [", "with is named twice"),
    ('references = "column"', 'references = "user"', 'references = "user"\nreferences_key = "do"',
     "one reference to user"),
    ('references = "column"', 'references = "constraint"', 'references = "constraint"',
     "brings it"),
    ('key = "window"', 'key = "no"', 'key = "no"', "no column no in [table.columns]"),
    ('window = "integer NOT NULL serial"', 'window = "text"', "window = ",
     "a key must be NOT NULL"),
    ('user = "integer NOT NULL"\nwhen', 'user = "bigint"\nwhen', 'user = "bigint"',
     "must be integer"),
    ('natural = ["user", "when"]', 'natural = ["who"]', "natural = ", "no column who to index"),
]  # fmt: skip
COLUMNS = [
    (f"[[column]]\n{END}", "", 'end = "bigint"', "nothing says what becomes of end"),
    (END, f"{END}\n[[column]] #\n{END}", '[[column]] # > source = "end"', "is spoken for"),
    (END, 'source = "primary"\ncodec = "archive"', 'source = "primary"', "it is the key"),
    (END, 'source = "fax"\ncodec = "archive"', 'source = "fax"',
     "no column fax in [source.columns]"),
    (COPY, 'timestamp = { column = "time" }', 'column = "time" }', "no column time"),
    (COPY, f'{COPY}\nfrom = {{ column = "limit" }}', "from = {", "limit is spoken for"),
    (CASE, 'source = "select"', 'source = "select"\ntarget = "case"', "select is spoken for"),
    ('target = "limit"', 'target = "case"', 'target = "case"\ncodec = "range"',
     "case is mapped twice"),
    ('target = "limit"', 'target = "group"', 'target = "group"',
     "column of version 30, with values"),
    ('target = "limit"', 'target = "fax"', 'target = "fax"', "no column fax in [target.adds]"),
    ('["left", "right"]', '["left", "left"]', '"left", "left"', "left is mapped twice"),
    (COPY, f'{COPY}\nleft = "x"', 'left = "x"', "left is mapped by a [[column]]"),
    (f"{LIMIT}\n", 'source = "timestamp"\n', 'codec = "range"', "Down itself sets timestamp"),
    (f'{END}\n\n[[column]]\nsource = "user"\ncodec = "archive"',
     f'{END}\n\n[[column]]\nsource = "user"\ntarget = "from"\ncodec = "same"', 'codec = "same"',
     "user is the owner"),
]  # fmt: skip
CODECS = [
    ('right = "text"', 'right = "character varying(40)"', f"[[column]] < {SPLIT}",
     "takes text to text"),
    ('limit = "integer"\nnull = "boolean NOT', 'limit = "bigint"\nnull = "boolean NOT',
     f"[[column]] < {LIMIT}", "to the same type"),
    ('limit = "integer"\nnull = "boolean"\ntime', 'limit = "text"\nnull = "boolean"\ntime',
     f"[[column]] < {LIMIT}", "these are text and integer"),
    ("value = false", "value = 0", f"[[column]] < {NULL}", "`value` must be a boolean"),
    ('null = "boolean"\ntime', 'null = "numeric(5,2)"\ntime', f"[[column]] < {NULL}",
     "takes boolean, integer"),
    ('codec = "null_as"\nprofile = true\nvalue = false', 'codec = "same"', f"[[column]] < {NULL}",
     "may have no value for it"),
    ("min = 1", "min = 10", "min = 10", "`min` is above `max`"),
    ('then = "y"', 'then = "z"', 'then = "z"', "no way back from 'z'"),
    ('x = "else"', 'x = "other"', 'x = "other"', "'x' goes back to 'other', which does not"),
    ('x = "else"', 'x = "then"', 'x = "then"', "does not go forward to 'x'"),
    ('forward = { else = "x", then = "y" }', "forward = {}", "forward = {}", "1 elements at least"),
    ('case = "text"\nlimit = "integer"\nnull = "boolean NOT',
     'case = "text NOT NULL DEFAULT \'x\'"\nlimit = "integer"\nnull = "boolean NOT',
     f"[[column]] < {CASE}", "codec 'values' may have no value"),
    ('right = "text"', 'right = "text NOT NULL DEFAULT \'\'"', f"[[column]] < {SPLIT}",
     "right is NOT NULL"),
    ('case = "text"\nlimit = "integer"\nnull = "boolean"\ntime',
     'case = "text NOT NULL"\nlimit = "integer"\nnull = "boolean"\ntime', f"[[column]] < {CASE}",
     "which Down could not carry back"),
]  # fmt: skip
SUBJECT = [
    (COPY, f'{COPY}\nfax = "1"', 'fax = "1"', "no column fax in [target.columns] or [target.adds]"),
    (COPY, f"{COPY}\nunique = 1", "unique = 1", "comes from its pair"),
    (COPY, 'timestamp = { column = "end" }', "timestamp = {", "a copy needs one type"),
    ('timestamp = "timestamp with time zone NOT NULL DEFAULT now()"\nfrom',
     'timestamp = "timestamp with time zone"\nfrom', "timestamp = {",
     "a copy needs both, or neither"),
    ('authorization = { template = "order-{id}" }', "", "authorization = ", "say under [subject]"),
    (COPY, f'{COPY}\nfrom = {{ template = "x{{id}}" }}', "from = {", "a template is text"),
    (COPY, f"{COPY}\nfrom = true", "from = true", "does not fit: from is integer"),
    (COPY, f"{COPY}\nfrom = 2147483648", "from = 2147483648", "does not fit: from is integer"),
    (COPY, f'{COPY}\nnot = "now"', 'not = "now"', "does not fit: not is timestamp"),
    ('"order-{id}"', '"order"', "authorization = {", "a text with {id} in it, once"),
    ('"order-{id}"', '"{id}{id}"', "authorization = {", "a text with {id} in it, once"),
    ('"order-{id}"', '"{id}{x}"', "authorization = {", "a text with {id} in it, once"),
    ('"order-{id}"', '"\\\\{id}"', "authorization = {", "may not contain \\"),
    ('group = "none"', 'group = "a -- b"', "HERE", "may not contain --"),
    ('group = "none"', 'group = "a\\nb"', "HERE", "control characters"),
    ('group = "none"', 'group = "$kept$"', "HERE", "may not contain a dollar quote"),
    ('group = "none"', "group = 2020-01-01", "HERE", "a constant is a text, true or false"),
    ('group = "none"', 'group = { colum = "x" }', "HERE", "`colum` means nothing here"),
    ("default = false\n", "default = true\n", "default = true", "nobody may log in as a subject"),
    ("default = false\n", "", "[subject]", "nobody may log in as a subject"),
    ('group = "none"', 'group = "grant"', 'group = "grant"', "this group has rights"),
    ('group = "none"', "", "[subject]", "say which group a subject has"),
    (COPY, f"{COPY}\nall = true", "all = true", "a subject has no rights"),
    (COPY, f'{COPY}\ntable = "out"', 'table = "out"\n\n', "may not begin as deleted"),
]  # fmt: skip
NATIVE = [
    ('named = "select"', 'named = "end"', "named = ", "must be a source column that a [[column]]"),
    ('named = "select"', 'named = "limit"', "named = ", "limit must be text"),
    ('named = "select"', "", "[native]", "`named` and `named_by` go together"),
    ('named_by = "authorization"', 'named_by = "left"', "named_by",
     "no column left in [target.col"),
    ('named_by = "authorization"', 'named_by = "from"', "named_by",
     "from must be text, and is integer"),
    ('authorization = "text NOT NULL"', 'authorization = "text"', "named_by", "must be NOT NULL"),
    ('login = "default"', 'login = "group"', "login = ", "group must be boolean"),
    ('flag = "all"', 'flag = "default"', "HERE", "no column default in [target.adds]"),
    ('flag = "all"', 'flag = "null"\n#', "flag =", None),
    ('flag = "all"', 'flag = "left"', "HERE", "must be boolean NOT NULL DEFAULT false"),
    ('column = "group"', 'column = "all"', 'column = "all"', "no column all in [target.columns]"),
    ('group = "text NOT NULL DEFAULT', 'group = "text DEFAULT', 'column = "group"',
     "must be NOT NULL"),
    ('without_flag = "any"', 'without_flag = "grant"', "without_flag", "name one without"),
    ('not = "NOT NULL"', 'group = "NOT NULL"', 'group = "NOT', "no column group in [target.adds]"),
    ('not = "NOT NULL"', 'not = "gone"', 'not = "gone"', "not must be text to be compared"),
    ('not = "NOT NULL"', 'all = "NOT NULL"', 'all = "NOT NULL"', "every row would be deleted"),
    ('end = "bigint"', 'end = "bigint NOT NULL"', "end = ", "give it a DEFAULT"),
]  # fmt: skip
IMAGES = [
    ('else = "x"', 'else = "z"', "HERE", "'z' is not allowed in case: the CHECK check would stop"),
    ('check = "\\"case\\" IN (\'x\', \'y\')"', 'check = "\\"limit\\" >= 2 AND \\"limit\\" <= 9"',
     "min = 1", "1 is not allowed in limit"),
    ('check = "\\"case\\" IN (\'x\', \'y\')"', 'check = "limit >= -1 AND limit <= 8"', "max = 9",
     "9 is not allowed in limit"),
    ('check = "\\"case\\" IN (\'x\', \'y\')"', 'check = "\\"group\\" IN (\'it\'\'s\')"',
     "[subject] > group =", "'none' is not allowed in group"),
    ('check = "\\"case\\" IN (\'x\', \'y\')"', 'check = "\\"case\\" ~ \'z\'"', "HERE", None),
]  # fmt: skip
NAMES = [
    ("user_table_check = ", "foreign = ", 'name = "foreign"', "a constraint foreign already"),
    ("constraint_when_check = ", "cross = ", 'foreign_key = "cross"', "a constraint cross already"),
    ('name = "only"', 'name = "grant_user_fkey"', 'name = "grant_user_fkey"',
     "grant_user_fkey already"),
    ('collate = ["all"]', 'grant = ["all"]', 'grant = ["all"]', "index or sequence grant already"),
    ('natural = ["user", "when"]', 'collate = ["user"]', 'collate = ["user"]', "collate already"),
    ('asc = "desc"', 'asc = "collate"', "asc = ", "index or sequence collate already"),
    ('asc = "desc"', 'asc = "user_unique_seq"', "asc = ", "user_unique_seq already"),
    ('table = "constraint"', 'table = "shop_map"', 'name = "shop"',
     "of the archive shop_map already"),
    ('table = "grant"', f'table = "{"g" * 60}"', 'name = "shop"', "PostgreSQL cuts at 63"),
    ('table = "constraint"', f'table = "{"c" * 55}"', "window = ", "PostgreSQL cuts at 63"),
]  # fmt: skip
ALL: dict[str, Sequence[tuple[str, str, str, str | None]]] = {
    "tables": TABLES,
    "source": SOURCE,
    "target": TARGET,
    "parts": PARTS,
    "columns": COLUMNS,
    "codecs": CODECS,
    "subject": SUBJECT,
    "native": NATIVE,
    "images": IMAGES,
    "names": NAMES,
}
CASES = [
    pytest.param(*case, id=f"{name}-{number}")
    for name, cases in ALL.items()
    for number, case in enumerate(cases, start=1)
]


def errors(text: str) -> list[tuple[int, str]]:
    with pytest.raises(RefusedError) as caught:
        parse_mapping(text, file="x")
    parts = [line.split(":", 2) for line in caught.value.message.split("\n")[1:]]
    return [(int(number), sentence.strip()) for _, number, sentence in parts]


def line_of(text: str, anchor: str) -> int:
    """Return the line of a text that occurs once; `A > B`: the first B after A, `A < B`: before."""
    before, _, after = anchor.partition(" < ")
    first, _, then = anchor.partition(" > ")
    if after:
        index = text.rindex(before, 0, index_of(text, after))
    elif then:
        index = text.index(then, index_of(text, first))
    else:
        index = index_of(text, anchor)
    return text.count("\n", 0, index) + 1


def index_of(text: str, part: str) -> int:
    assert text.count(part) == 1, (part, text.count(part))
    return text.index(part)


@pytest.mark.parametrize(("old", "new", "anchor", "says"), CASES)
def test_parts_that_do_not_agree_are_refused_with_the_line(
    old: str, new: str, anchor: str, says: str | None
) -> None:
    assert old in ORDERS
    text = ORDERS.replace(old, new, 1)
    if says is None:
        parse_mapping(text, file="x")
        return

    found = errors(text)

    here = text.count("\n", 0, ORDERS.index(old)) + 1
    line = here if anchor == "HERE" else line_of(text, anchor)
    assert (line, True) in [(number, says in each) for number, each in found], found
