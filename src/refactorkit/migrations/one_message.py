"""A script as one message to the server: under a lock, each round trip would count."""

from dataclasses import replace

from refactorkit.migrations.model import Script, Statement


def in_one_message(script: Script) -> Script:
    """Return the script as one statement, whose lines are those of the file.

    The server takes such a text apart by itself; inside an open transaction it does with it what it
    does with the statements one by one. Each statement must end in its semicolon, as those of a
    compiled migration do.
    """
    first = script.statements[0].line
    lines: list[str] = []
    for statement in script.statements:
        lines += [""] * (statement.line - first - len(lines))
        lines += statement.text.split("\n")
    return replace(script, statements=(Statement(text="\n".join(lines), line=first),))
