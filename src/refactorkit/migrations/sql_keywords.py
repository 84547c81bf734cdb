"""Which words of a statement are keywords, as far as the words around them tell.

PostgreSQL's reserved words (manual, appendix C) can be nothing else where they are not quoted.
Other keywords can be names as well; they count where the place leaves no doubt.
"""

from collections.abc import Iterator, Sequence

from refactorkit.migrations.sql_tokens import Kind, Token


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RESERVED = _words("""
    ALL ANALYSE ANALYZE AND ANY ARRAY AS ASC ASYMMETRIC AUTHORIZATION BINARY BOTH CASE CAST CHECK
    COLLATE COLLATION COLUMN CONCURRENTLY CONSTRAINT CREATE CROSS DEFAULT DEFERRABLE DESC DISTINCT
    DO ELSE END EXCEPT FETCH FOR FOREIGN FREEZE FROM FULL GRANT GROUP HAVING ILIKE IN
    INITIALLY INNER INTERSECT INTO IS ISNULL JOIN LATERAL LEADING LEFT LIKE LIMIT NATURAL NOT
    NOTNULL NULL OFFSET ON ONLY OR ORDER OUTER OVERLAPS PLACING PRIMARY REFERENCES RETURNING RIGHT
    SELECT SIMILAR SOME SYMMETRIC TABLE TABLESAMPLE THEN TO TRAILING UNION UNIQUE USING
    VARIADIC VERBOSE WHEN WHERE WINDOW WITH
""")
"""Reserved words, apart from those that stand for a value: ``true`` and ``false`` may be written as
PostgreSQL prints them, ``current_user`` and its like as the functions that they are."""

_NEVER_NAMES = _words("""
    ADD ALTER BETWEEN BY CASCADE DELETE DROP EXISTS IF INSERT OVER RESTRICT SET TRUNCATE UPDATE
    VALUES
""")
"""Not reserved, but nobody names a column so without quotes."""

_ALSO_FUNCTIONS = frozenset({"LEFT", "RIGHT", "OVERLAPS"})

_OBJECTS = _words("""
    AGGREGATE DATABASE DOMAIN EVENT EXTENSION FUNCTION INDEX MATERIALIZED OPERATOR POLICY PROCEDURE
    PUBLICATION REPLACE ROLE RULE SCHEMA SEQUENCE SERVER STATISTICS SUBSCRIPTION TABLESPACE TEMP
    TEMPORARY TRIGGER TYPE UNLOGGED VIEW
""")

_AFTER: dict[str, frozenset[str]] = {
    "CREATE": _OBJECTS,
    "DROP": _OBJECTS,
    "ALTER": _OBJECTS,
    "OR": frozenset({"REPLACE"}),
    "REPLACE": _OBJECTS,
    "MATERIALIZED": frozenset({"VIEW"}),
    "UNIQUE": frozenset({"INDEX"}),
    "PRIMARY": frozenset({"KEY"}),
    "FOREIGN": frozenset({"KEY"}),
    "NOT": frozenset({"DEFERRABLE", "MATERIALIZED", "VALID"}),
    "AS": frozenset({"MATERIALIZED"}),
    "WITH": frozenset({"RECURSIVE"}),
    "ON": frozenset({"COMMIT", "CONFLICT"}),
    "DO": frozenset({"NOTHING"}),
    "NO": frozenset({"ACTION"}),
    "SET": frozenset({"LOCAL"}),
}
"""Words that are keywords right after another keyword."""


def lower_case_keywords(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield the keywords of one statement that are not written in capitals."""
    for place, token in enumerate(tokens):
        if token.kind is Kind.WORD and token.text != token.word and _is_keyword(tokens, place):
            yield token


def _is_keyword(tokens: Sequence[Token], place: int) -> bool:
    word = tokens[place].word
    if place == 0:
        return True  # a statement begins with one
    before = tokens[place - 1]
    if before.text == ".":
        return False  # a qualified name
    after = tokens[place + 1].text if place + 1 < len(tokens) else ""
    if word == "WITH" and after.upper() == "TIME":
        return False  # a part of a type's name
    if word in RESERVED:
        return not (word in _ALSO_FUNCTIONS and after == "(")
    return word in _NEVER_NAMES or word in _AFTER.get(before.word, frozenset())
