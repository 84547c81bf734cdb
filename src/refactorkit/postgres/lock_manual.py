"""What PostgreSQL's manual says of the locks of a statement, for where it cannot be tried out.

Only the table that a statement is about is known by this, and what a foreign key names; not what
triggers, functions, cascades or a DO block do. Sources: PostgreSQL manual, 13.3.1 and the pages of
the commands.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from refactorkit.migrations.sql_tokens import Kind, Token, split_statements
from refactorkit.postgres.lock_modes import LockMode

_WEAKER_ACTIONS: Final = {  # of ALTER TABLE; all others take ACCESS EXCLUSIVE
    ("VALIDATE", "CONSTRAINT"): LockMode.SHARE_UPDATE_EXCLUSIVE,
    ("ATTACH", "PARTITION"): LockMode.SHARE_UPDATE_EXCLUSIVE,
    ("CLUSTER", "ON"): LockMode.SHARE_UPDATE_EXCLUSIVE,
    ("ENABLE", "TRIGGER"): LockMode.SHARE_ROW_EXCLUSIVE,
    ("DISABLE", "TRIGGER"): LockMode.SHARE_ROW_EXCLUSIVE,
}
_FILLERS: Final = frozenset({"IF", "NOT", "EXISTS", "ONLY", "TABLE", "CONCURRENTLY"})


@dataclass(frozen=True, kw_only=True)
class ByTheManual:
    """What can be said without trying.

    Attributes:
        verb: the first word, such as ``INSERT``.
        table: what the statement is about, schema and name as written; empty where unknown.
        locks: table and mode.
        is_known: False where the manual cannot tell, as of a DO block.
    """

    verb: str
    table: str = ""
    locks: tuple[tuple[str, LockMode], ...] = ()
    is_known: bool = True


def by_the_manual(text: str) -> ByTheManual:
    """Return what is known of a text; of several statements, all locks, and the first's table."""
    parts = [_one(tokens) for tokens in split_statements(text)]
    if not parts:
        return ByTheManual(verb="")
    return replace(
        parts[0],
        locks=tuple(dict.fromkeys(lock for part in parts for lock in part.locks)),
        is_known=all(part.is_known for part in parts),
    )


def _one(tokens: Sequence[Token]) -> ByTheManual:
    words = [token.word for token in tokens]
    verb = words[0]
    second = next((word for word in words[1:] if word not in {"OR", "REPLACE", "UNIQUE"}), "")
    after = {
        "INSERT": "INTO",
        "DELETE": "FROM",
        "MERGE": "INTO",
        "UPDATE": "UPDATE",
        "TRUNCATE": "TRUNCATE",
        "ANALYZE": "ANALYZE",
        "LOCK": "LOCK",
    }.get(verb)
    if after is not None:
        table = _name_after(tokens, after)
        mode = {
            "TRUNCATE": LockMode.ACCESS_EXCLUSIVE,
            "ANALYZE": LockMode.SHARE_UPDATE_EXCLUSIVE,
            "LOCK": _mode_of_lock(words),
        }.get(verb, LockMode.ROW_EXCLUSIVE)
        return ByTheManual(verb=verb, table=table, locks=_locks((table, mode)))
    if verb in {"ALTER", "DROP", "CREATE", "COMMENT"}:
        return _definition(tokens, words, verb, second)
    return ByTheManual(verb=verb, is_known=verb in {"SET", "RESET", "BEGIN", "COMMIT"})


def _definition(tokens: Sequence[Token], words: Sequence[str], verb: str, kind: str) -> ByTheManual:
    """Return what a statement that defines something locks."""
    on = _name_after(tokens, "ON")
    target = on if kind in {"INDEX", "TRIGGER"} else _name_after(tokens, kind)
    mode: LockMode | None = None
    is_known = True
    match verb, kind:
        case "ALTER", "TABLE":
            mode = _mode_of_alter(words)
        case "ALTER", "SEQUENCE":
            mode = LockMode.SHARE_ROW_EXCLUSIVE
        case "DROP", "TABLE" | "VIEW" | "SEQUENCE":
            mode = LockMode.ACCESS_EXCLUSIVE
        case "CREATE", "INDEX":
            concurrently = "CONCURRENTLY" in words
            mode = LockMode.SHARE_UPDATE_EXCLUSIVE if concurrently else LockMode.SHARE
        case "CREATE", "TRIGGER":
            mode = LockMode.SHARE_ROW_EXCLUSIVE
        case "CREATE", "TABLE" | "SCHEMA" | "FUNCTION":
            pass
        case _:
            is_known = False
    own = [] if mode is None else [(target, mode)]
    references = _references(tokens, words) if kind == "TABLE" else []
    return ByTheManual(verb=verb, table=target, locks=_locks(*own, *references), is_known=is_known)


def _mode_of_alter(words: Sequence[str]) -> LockMode:
    """Return the strongest lock of the actions; one that is not known to be weaker is the worst."""
    pairs = set(itertools.pairwise(words))
    others = {"COLUMN", "ALTER", "CHECK", "DROP", "RENAME", "UNIQUE", "PRIMARY"}
    if {("ADD", "CONSTRAINT"), ("FOREIGN", "KEY")} <= pairs and not others & set(words[1:]):
        return LockMode.SHARE_ROW_EXCLUSIVE
    weaker = [mode for pair, mode in _WEAKER_ACTIONS.items() if pair in pairs]
    return max(weaker, key=lambda mode: mode.rank) if weaker else LockMode.ACCESS_EXCLUSIVE


def _mode_of_lock(words: Sequence[str]) -> LockMode:
    if "IN" not in words or "MODE" not in words:
        return LockMode.ACCESS_EXCLUSIVE
    named = " ".join(words[words.index("IN") + 1 : words.index("MODE")])
    return LockMode(named) if named in set(LockMode) else LockMode.ACCESS_EXCLUSIVE


def _references(tokens: Sequence[Token], words: Sequence[str]) -> list[tuple[str, LockMode]]:
    """Return what new foreign keys name: it is locked as well."""
    places = [place for place, word in enumerate(words) if word == "REFERENCES"]
    return [(_name_at(tokens, place + 1), LockMode.SHARE_ROW_EXCLUSIVE) for place in places]


def _locks(*found: tuple[str, LockMode]) -> tuple[tuple[str, LockMode], ...]:
    return tuple((table, mode) for table, mode in found if table)


def _name_after(tokens: Sequence[Token], word: str) -> str:
    for place, token in enumerate(tokens):
        if token.word == word:
            return _name_at(tokens, place + 1)
    return ""


def _name_at(tokens: Sequence[Token], place: int) -> str:
    """Return the name that begins at a token, schema and all, without its quotes."""
    while place < len(tokens) and tokens[place].word in _FILLERS:
        place += 1
    parts: list[str] = []
    while place < len(tokens):
        token = tokens[place]
        if token.kind is Kind.WORD:
            parts.append(token.text.lower())
        elif token.kind is Kind.QUOTED and token.text.startswith('"'):
            parts.append(token.text[1:-1].replace('""', '"'))
        else:
            break
        if place + 1 >= len(tokens) or tokens[place + 1].text != ".":
            break
        place += 2
    return ".".join(parts)
