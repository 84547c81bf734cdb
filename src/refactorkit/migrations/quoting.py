"""How files and pieces of files are shown in messages: quoted, printable, on one line."""

_EXCERPT_CHARACTERS = 80


def quoted(text: str) -> str:
    """Show a whole name or path; what cannot be printed is escaped."""
    return "'" + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) + "'"


def excerpt(text: str) -> str:
    """Show a piece of a file, which may be long: its first 80 characters, in quotes."""
    if len(text) <= _EXCERPT_CHARACTERS:
        return quoted(text)
    return quoted(text[:_EXCERPT_CHARACTERS] + "…")
