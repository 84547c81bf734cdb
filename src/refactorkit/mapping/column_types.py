"""PostgreSQL's types, as ``format_type`` prints them, and how a mapping file writes a column.

Source: PostgreSQL manual, chapter 8, "Data Types"; ``src/backend/utils/adt/format_type.c``.
"""

import re
from typing import Final

# What of each integer type is behind a key, and the bounds of its values.
INTEGER_BOUNDS: Final = {
    "smallint": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
}
KEY_TYPES: Final = frozenset({"integer", "bigint"})

_PLAIN: Final = (
    "bigint|boolean|box|bpchar|bytea|cidr|circle|date|double precision|inet|integer|json|jsonb|line"
    "|lseg|macaddr|macaddr8|money|name|oid|path|pg_lsn|pg_snapshot|point|polygon|real|smallint|text"
    "|tsquery|tsvector|txid_snapshot|uuid|xml"
    "|(?:int4|int8|num|ts|tstz|date)(?:multi)?range"
)
_FIELDS: Final = "(?: (?:year|month|day|hour|minute|second)(?: to (?:month|hour|minute|second))?)?"
_TYPE: Final = (
    rf"(?:{_PLAIN}"
    r"|(?:bit|bit varying|character|character varying)(?:\([1-9][0-9]{0,7}\))?"
    r"|numeric(?:\([1-9][0-9]{0,3},-?[0-9]{1,4}\))?"
    r"|(?:time|timestamp)(?:\([0-6]\))? with(?:out)? time zone"
    rf"|interval{_FIELDS}(?:\([0-6]\))?"
    r"|public\.[a-z_][a-z0-9_]{0,62})"
    r"(?:\[\])?"
)
_COLUMN: Final = re.compile(
    rf"(?P<type>{_TYPE})(?P<not_null> NOT NULL)?"
    r"(?: (?:(?P<serial>serial)|DEFAULT (?P<default>.+)))?",
    re.DOTALL,
)
# No hash, so no part of a row's fingerprint.
_WITHOUT_HASH: Final = frozenset(
    {
        "bit", "bit varying", "box", "circle", "json", "line", "lseg", "money", "path",
        "pg_snapshot", "point", "polygon", "tsquery", "tsvector", "txid_snapshot", "xml",
    }
)  # fmt: skip


def parse_column(text: str) -> dict[str, str | bool | None]:
    """Return type, not_null, default and serial of a column's definition.

    Raises:
        ValueError: it is not written as a mapping file writes it; the message says how.
    """
    match = _COLUMN.fullmatch(text)
    if match is None:
        raise ValueError(
            "a column is written as TYPE [NOT NULL] [DEFAULT expression | serial], its type as"
            " PostgreSQL itself prints it: character varying(40) and not varchar(40),"
            " timestamp with time zone and not timestamptz, public.mood for a type of one's own"
        )
    if match["serial"] and not (match["not_null"] and match["type"] in KEY_TYPES):
        raise ValueError("a serial column is integer NOT NULL serial, or bigint NOT NULL serial")
    return {
        "type": match["type"],
        "not_null": bool(match["not_null"]),
        "default": match["default"],
        "serial": bool(match["serial"]),
    }


def has_hash(type_name: str) -> bool:
    """Tell whether PostgreSQL can hash values of a type, as far as its name tells."""
    return re.sub(r"\(.*?\)|\[\]", "", type_name) not in _WITHOUT_HASH
