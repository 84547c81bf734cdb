"""What a refusal owes its reader: one sentence each, the same in text and JSON, and no secret.

What is the matter, in what state the database is, what to do; and the exit code says the kind.
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from refactorkit.errors import NOTHING_CHANGED
from tests.support.chain import SQL
from tests.support.cli import Outcome, run
from tests.support.dump import pg_dump
from tests.support.roles import PASSWORD

CANARY = "canary-9d41"
"""A value of rows that no output may show."""

AT_10 = "Nothing was changed: the database is at version 10."
AT_11 = "Nothing was changed: the database is at version 11."
AGE = re.compile(r"open for \d+ s")
KINDS = {1: "failed", 2: "usage", 3: "refused", 4: "busy"}


def plant_canary(url: str) -> None:
    """Write the value into rows of a clinic at version 10."""
    with psycopg.connect(url) as connection:
        for query in (
            "UPDATE public.patients SET name = %s, smoking = %s WHERE id < 4",
            "UPDATE public.users SET password_hash = %s, email = %s || email WHERE id < 4",
            "UPDATE public.audit_events SET actor = %s, action = %s",
        ):
            connection.execute(query.encode(), [CANARY, CANARY])


def keeps_secrets(outcome: Outcome, url: str) -> bool:
    """Tell whether neither rows nor passwords are in what the program printed."""
    secrets = {CANARY, PASSWORD, unquote(urlsplit(url).password or PASSWORD)}
    return not any(secret in outcome.out + outcome.err for secret in secrets)


def refused(
    url: str,
    *arguments: str,
    code: int,
    says: str,
    do: str,
    state: str = NOTHING_CHANGED,
    directory: Path = SQL,
) -> str:
    """Assert that a call of the program is refused as it should be; return the sentence.

    Args:
        url: the database.
        arguments: the command and its options.
        code: the exit code.
        says: a pattern that the sentence holds.
        do: a text that the advice holds.
        state: what is said of the database.
        directory: the migrations.
    """
    call = [*arguments, "--dir", str(directory), "--log-level", "debug"]
    as_json = run(*call, "--json", url=url)
    as_text = run(*call, url=url)

    assert (as_json.code, as_text.code) == (code, code), as_text.err
    assert keeps_secrets(as_json, url)
    assert keeps_secrets(as_text, url)
    error = as_json.document["error"]
    message, hint = str(error["message"]), str(error["hint"])
    assert re.search(says, message), message
    assert do in hint
    assert error["state"] == state
    assert (error["exit_code"], error["kind"]) == (code, KINDS[code])
    for part in (message, hint):
        assert part.endswith((".", "?"))
        assert not part.endswith("..")
        assert "\n" not in part
        assert "Nothing was changed" not in part
        assert "Traceback" not in part
    assert as_text.out == ""
    said = AGE.sub("open", f"error: {message}\n{state}\n{hint}\n")
    assert AGE.sub("open", as_text.err).endswith(said), as_text.err
    return message


def refused_unchanged(
    url: str,
    *arguments: str,
    code: int,
    says: str,
    do: str,
    state: str = NOTHING_CHANGED,
    seen_as: str | None = None,
    directory: Path = SQL,
) -> str:
    """As `refused`; the whole database, the archive included, is the same text before and after.

    `seen_as` is the URL that the program is given where that is another one.
    """
    before = pg_dump(url, exclude_schemas=())
    message = refused(
        seen_as or url, *arguments, code=code, says=says, do=do, state=state, directory=directory
    )
    assert pg_dump(url, exclude_schemas=()) == before
    return message
