"""How a statement begins, without any value: for people who ask what a session was doing."""

from typing import Final

from refactorkit.migrations.sql_tokens import Kind, tokenize

_MOST_WORDS: Final = 10
_MOST_CHARACTERS: Final = 100  # a name may be as long as it likes
_BARE_VALUES: Final = {"SET": 3, "RESET": 3, "NOTIFY": 2, "EXECUTE": 2, "DEALLOCATE": 2}
_JOINED_AFTER: Final = frozenset({".", "("})
_JOINED_BEFORE: Final = frozenset({".", "(", ")", ",", ";"})


def first_words(query: str) -> str:
    """Return the keywords and names that a query begins with; it ends before the first literal.

    Comments are left out: they may hold anything. What is quoted in any way ends the text, a name
    too, for nobody can tell a quoted name from a wrongly quoted value. After SET and its like a
    bare word can be a value: only the name of the parameter is shown.

    Returns:
        At most ten words; ``…`` at the end where something was left out; empty where the very
        first word cannot be shown.
    """
    text = ""
    words = 0
    most = _MOST_WORDS
    previous = ""
    for token in tokenize(query):
        if token.kind in {Kind.QUOTED, Kind.NUMBER} or len(text) > _MOST_CHARACTERS:
            return _cut(text)
        if token.kind is Kind.WORD:
            if words == 0:
                most = _BARE_VALUES.get(token.word, most)
            if words == most:
                return _cut(text)
            words += 1
        elif not token.text.isprintable() or (most != _MOST_WORDS and token.text != "."):
            return _cut(text)
        joined = not text or previous in _JOINED_AFTER or token.text in _JOINED_BEFORE
        text += token.text if joined else f" {token.text}"
        previous = token.text
    return text if len(text) <= _MOST_CHARACTERS else _cut(text)


def _cut(text: str) -> str:
    kept = text[:_MOST_CHARACTERS].rstrip(" ,.")
    return f"{kept} …" if kept else ""
