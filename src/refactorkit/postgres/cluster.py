"""What every server that we start has in common: how it is made, configured and addressed."""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from refactorkit.postgres.binaries import Binaries
from refactorkit.postgres.layout import PORT, Layout

SUPERUSER = "postgres"
FIRST_WITH_BUILTIN_LOCALE = 17
# What the server's processes see of our environment: nothing that libpq, the locale or a secret
# comes from.
PASSED_ON = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
LAST_LINES = 3
_LINE_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] ")  # log_line_prefix '%m [%p] '
# For data that nobody needs after a crash of the machine: tests and drills, never a benchmark.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def new_password() -> str:
    """Return 192 random bits, as letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(24)


def clean_environment() -> dict[str, str]:
    """Return the environment for the programs: no PG*, no LC_* or LANG of ours, no secret."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # LC_ALL: macOS starts threads in postgres to find a locale that is not set.
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"}


def initdb_command(binaries: Binaries, *, data: Path, password_file: Path, sync: bool) -> list[str]:
    """Return the command that makes a data directory.

    UTF-8 text that sorts by code point, the same on every machine; checksums on every page;
    passwords asked for on every way in. The C locale of the C library is everywhere, C.UTF-8 is not
    (macOS): so only the builtin provider is told to use that one.
    """
    if binaries.major_version >= FIRST_WITH_BUILTIN_LOCALE:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    else:
        locale = ["--locale=C"]
    return [
        binaries.program("initdb"),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--data-checksums",
        "--no-instructions",
        *locale,
        *([] if sync else ["--no-sync"]),
    ]


def postgres_options(layout: Layout) -> list[str]:
    """Return the arguments of postgres; everything else is in the configuration file."""
    return ["-D", str(layout.data), "-c", f"config_file={layout.configuration}"]


def configuration(layout: Layout, settings: Mapping[str, str]) -> str:
    """Return the text of the configuration file; `settings` come last and so win.

    A private socket is the only way in. The log names no row: neither the DETAIL of an error nor
    the statement.
    """
    values = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": _list_item(str(layout.socket_directory)),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        **settings,
    }
    lines = [f"include_if_exists {_literal(str(layout.data / 'postgresql.conf'))}"]
    lines += [f"{name} = {_literal(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def url(
    layout: Layout, dbname: str, *, password: str | None = None, passfile: Path | None = None
) -> str:
    """Return a connection URL for the superuser, with the password in it or with where it is."""
    credentials = quote(SUPERUSER, safe="")
    if password is not None:
        credentials += ":" + quote(password, safe="")
    parameters = {"host": str(layout.socket_directory), "port": str(PORT)}
    if passfile is not None:
        parameters["passfile"] = str(passfile)
    query = urlencode(parameters, quote_via=quote, safe="/")
    return f"postgresql://{credentials}@/{quote(dbname, safe='')}?{query}"


def last_words(log: str) -> str:
    """Return the end of a server's log for a sentence that says that it did not start.

    These are postgres's own last lines; where it said nothing, those of whoever started it.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    own = [_LINE_PREFIX.sub("", line) for line in lines if _LINE_PREFIX.match(line)]
    end = (own or lines)[-LAST_LINES:]
    return f" ({'; '.join(end)})" if end else ""


def _literal(value: str) -> str:
    """Quote a value for the configuration file (PostgreSQL manual, 19.1.2)."""
    escaped = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
    return f"'{escaped}'"


def _list_item(value: str) -> str:
    """Quote one name of a list such as unix_socket_directories, where commas and blanks count."""
    return '"' + value.replace('"', '""') + '"'
