"""Tables by their label: schema, a dot, name. The schemas are ``public`` and ``archive``."""

from psycopg import sql


def split(label: str) -> tuple[str, str]:
    """Return schema and name; a name may have dots, these schemas have none."""
    schema, _, name = label.partition(".")
    return schema, name


def identifier(label: str) -> sql.Identifier:
    """Return a label's SQL name."""
    return sql.Identifier(*split(label))
