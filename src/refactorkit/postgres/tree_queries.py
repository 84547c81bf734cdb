"""The query behind each tree: its rows in canonical form and in order, each with its salt."""

from typing import Literal

from psycopg import sql

from refactorkit.evidence.leaf import Form
from refactorkit.evidence.manifest import Places
from refactorkit.postgres.canonical import key_text, order_by, selected
from refactorkit.postgres.evidence_tables import NATIVE_SALTS, ROW_SALTS, SALTS, EvidenceTables
from refactorkit.postgres.labels import identifier

Role = Literal["source", "target", "mapping", "other"]


def tree_query(places: Places, role: Role, form: Form, *, only: int | None = None) -> sql.Composed:
    """Return the rows of a tree, the salt first; a row without one has NULL there.

    A person's salt is that of their source row, also for their pair and for their target row; a
    native's is their own; all other rows of the archive have one each.

    Args:
        places: of the refactor's tables.
        role: of the tree.
        form: of its rows.
        only: of the source, the one row with this key.
    """
    salt, joins = _salt(places, role, form)
    where: sql.Composable = sql.SQL("")
    if only is not None:
        where = sql.SQL("WHERE {} = {}").format(
            sql.Identifier("t", places.source_key), sql.Literal(only)
        )
    return sql.SQL(
        "SELECT {salt}, {columns} FROM {table} AS t {joins} {where} ORDER BY {order}"
    ).format(
        where=where,
        salt=salt,
        columns=sql.SQL(", ").join(selected(column) for column in form.columns),
        table=identifier(form.table),
        joins=joins,
        order=order_by(form.columns),
    )


def unsalted_query(form: Form) -> sql.Composed:
    """Return the rows of a table in canonical form and in order, without a salt."""
    return sql.SQL("SELECT {columns} FROM {table} AS t ORDER BY {order}").format(
        columns=sql.SQL(", ").join(selected(column) for column in form.columns),
        table=identifier(form.table),
        order=order_by(form.columns),
    )


def _salt(places: Places, role: Role, form: Form) -> tuple[sql.Composable, sql.Composable]:
    tables = EvidenceTables(name=places.name)
    salts = tables.identifier(SALTS)
    if role in ("source", "mapping"):
        column = places.source_key if role == "source" else "source_id"
        return sql.SQL("z.salt"), sql.SQL("LEFT JOIN {} AS z ON z.source_id = {}").format(
            salts, sql.Identifier("t", column)
        )
    if role == "target":
        # Few pairs have two ids: those are looked up one by one, so that all else is merged in the
        # order of one index each, and nothing has to be sorted.
        key = sql.Identifier("t", places.target_key)
        return sql.SQL(
            "CASE WHEN m.source_id = {key} THEN z.salt WHEN m.source_id IS NULL THEN y.salt"
            " ELSE (SELECT s.salt FROM {salts} AS s WHERE s.source_id = m.source_id) END"
        ).format(key=key, salts=salts), sql.SQL(
            "LEFT JOIN {pairs} AS m ON m.target_id = {key}"
            " LEFT JOIN {salts} AS z ON z.source_id = {key}"
            " LEFT JOIN {native} AS y ON y.target_id = {key}"
        ).format(
            key=key,
            pairs=sql.Identifier("archive", f"{places.name}_map"),
            salts=salts,
            native=tables.identifier(NATIVE_SALTS),
        )
    return sql.SQL("z.salt"), sql.SQL(
        "LEFT JOIN {} AS z ON z.table_name = {} AND z.row_key = {}"
    ).format(
        tables.identifier(ROW_SALTS),
        sql.Literal(form.table),
        key_text(form.columns),
    )
