"""Identifiers and literals as SQL text, for the compiler.

What comes here was checked by ``refactorkit.mapping.model``: identifiers are lower-case words.
"""

# PostgreSQL 18, Appendix C: key words that are reserved or need quotes as a column or table name.
_RESERVED = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit
    boolean both case cast char character check coalesce collate collation column concurrently
    constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user dec decimal default deferrable desc distinct do else end except
    exists extract false fetch float for foreign freeze from full grant greatest group grouping
    having ilike in initially inner inout int integer intersect interval into is isnull join json
    json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
    json_serialize json_table json_value lateral leading least left like limit localtime
    localtimestamp merge_action national natural nchar none normalize not notnull null nullif
    numeric offset on only or order out outer overlaps overlay placing position precision primary
    real references returning right row select session_user setof similar smallint some substring
    symmetric system_user table tablesample then time timestamp to trailing treat trim true union
    unique user using values varchar variadic verbose when where window with xmlattributes
    xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize
    xmltable
    """.split()  # noqa: SIM905 - read as words, not as punctuation
)

_LAST_OF_FOUR_DIGITS = 0xFFFF


def identifier(name: str) -> str:
    """Return a checked name as SQL, in quotes where it is a key word."""
    return f'"{name}"' if name in _RESERVED else name


def literal(value: str | bool | int) -> str:
    """Return a value as an SQL literal; a text with its quotes doubled (no backslash escapes)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def any_text(value: str) -> str:
    """Return any text as an SQL literal that stands on one line and shows what is in it.

    Backslashes, what cannot be printed, and the second of two dashes are escaped: neither a server
    with ``standard_conforming_strings`` off nor a reader of lines (goose ends a statement at ``;``
    before a word that starts with ``--``) takes the value for something else.
    Source: PostgreSQL manual, 4.1.2.2, String Constants with C-Style Escapes.
    """
    escaped = "".join(
        character if character.isprintable() and character != "\\" else _escape(character)
        for character in value
    ).replace("--", "-\\x2D")
    if escaped == value:
        return literal(value)
    return "E'" + escaped.replace("'", "''") + "'"


def _escape(character: str) -> str:
    if character == "\\":
        return r"\\"
    code = ord(character)
    return f"\\u{code:04X}" if code <= _LAST_OF_FOUR_DIGITS else f"\\U{code:08X}"
