"""Mapping to migration: static SQL that a DBA reads from top to bottom.

The text depends on the mapping alone, so that the file that is checked in can be compared with it.
"""

import hashlib
import json
from textwrap import dedent, indent
from typing import Any

import jinja2

from refactorkit.mapping import codecs
from refactorkit.mapping.erasure import erased_again
from refactorkit.mapping.expressions import Expressions
from refactorkit.mapping.fingerprints import native_hash, target_side
from refactorkit.mapping.guards import down_guards, up_guards
from refactorkit.mapping.model import Columns, Definition, Dependant, Mapping
from refactorkit.mapping.prepared import prepared
from refactorkit.mapping.sql import identifier, literal
from refactorkit.mapping.staging import staging
from refactorkit.migrations.model import Direction

GUARD_SOURCE = """
BEGIN
    IF current_setting('refactorkit.archive_writer', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        RAISE EXCEPTION USING ERRCODE = 'RK003',
            MESSAGE = format('%s on %I.%I is refused: the archive is changed by refactorkit alone.', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME),
            HINT = 'Nothing was changed. Without this table a rollback would lose data.';
    END IF;
    RETURN NULL;
END
"""  # noqa: E501 - read in the migration, not here
"""The body of the function behind the archive's guards, to the byte."""

_INTEGERS = {
    "integer": ("int4range", "int4multirange", 2**31 - 1),
    "bigint": ("int8range", "int8multirange", 2**63 - 1),
}


class _InMemory(jinja2.BytecodeCache):
    """Templates that were compiled in this process: that takes longer than to render them."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Give what is there; Jinja compares it with the template's text."""
        code = self._code.get(bucket.key)
        if code is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Keep it."""
        self._code[bucket.key] = bucket.bytecode_to_string()


_COMPILED_TEMPLATES = _InMemory()


def compile_migration(mapping: Mapping) -> str:
    """Return the migration's text: both directions, formatted, ending in a newline."""
    text = environment(mapping).get_template("migration.sql.j2").render()
    lines = (line.rstrip() for line in text.splitlines())
    return "\n".join(_without_runs_of_blank_lines(lines)) + "\n"


def environment(mapping: Mapping, *, collecting: str = "") -> jinja2.Environment:
    """Return the templates with everything that they need of one mapping.

    Args:
        mapping: the mapping.
        collecting: empty for a migration; "catalog" or "data" for that part of the guards alone,
            which then refuse nothing and leave what they would refuse in a setting.
    """
    expressions = Expressions(mapping)
    last_turn = f"(SELECT max(turn) FROM archive.{mapping.name}_turns)"
    id_type = mapping.source.columns[mapping.source.key].type
    id_range, id_multirange, id_limit = _INTEGERS[id_type]
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("refactorkit.mapping"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=_COMPILED_TEMPLATES,
        autoescape=False,  # noqa: S701 - SQL, whose values go through `lit` and `q`
    )
    made.filters |= {
        "q": identifier,
        "lit": literal,
        "block": lambda text: indent(dedent(text).strip("\n"), "    "),
        "added": _added,
        "created": _created,
        "existing": lambda d: f"({d.existing_value})::{d.type}",
        "default_again": _default_again,
        "on_delete": lambda action: "" if action == "NO ACTION" else f" ON DELETE {action}",
    }
    made.globals |= {
        "m": mapping,
        "n": mapping.name,
        "S": mapping.source.table,
        "K": mapping.source.key,
        "T": mapping.target.table,
        "TK": mapping.target.key,
        "rights": mapping.native.rights,
        "up": up_guards(mapping),
        "down": down_guards(mapping),
        "stage": staging(mapping),
        # A statement with this condition does nothing where `cutover --online` has staged the rows.
        "plain": "current_setting('refactorkit.staged') = ''",
        # What is staged was staged after a Down, which kept something.
        "later": "current_setting('refactorkit.later') = 'on'",
        # A statement with this condition gives back what Down kept.
        "gives_back": "(current_setting('refactorkit.staged') = ''"
        " OR current_setting('refactorkit.later') = 'on')",
        "prepared": prepared(mapping),
        # The same for Down, where `rollback --online` has found out which rows may differ.
        "unprepared": "current_setting('refactorkit.prepared') = ''",
        "functions": codecs.functions(mapping),
        "forward": lambda column, target, alias: codecs.forward(mapping, column, target, alias),
        "back": lambda column, alias: codecs.back(mapping, column, alias),
        "changed_defaults": _changed_defaults,
        "erased_again": lambda after: erased_again(mapping, Direction(after)),
        "returning": lambda dependant: _returning(mapping, dependant),
        "id_type": id_type,
        "id_range": id_range,
        "id_multirange": id_multirange,
        "id_limit": id_limit,
        "mapping_hash": mapping_hash(mapping),
        "structure_hash": structure_hash(mapping),
        "mapping_json": canonical_json(mapping),
        "collecting": collecting,
        "guard_source": GUARD_SOURCE,
        "guard_hash": hashlib.sha256(GUARD_SOURCE.encode()).hexdigest(),
        "native_hash": native_hash(mapping),
        "up_target_side": target_side(mapping, Direction.UP, last_turn),
        "down_target_side": target_side(mapping, Direction.DOWN, last_turn),
    }
    made.globals |= {
        name: getattr(expressions, name) for name in dir(expressions) if not name.startswith("_")
    }
    return made


def canonical_json(mapping: Mapping) -> str:
    """Return the mapping as JSON in the order of its file, a line for each part of it."""
    document = mapping.model_dump(mode="json", exclude_defaults=True)
    return _lines(document, depth=2)


def mapping_hash(mapping: Mapping) -> str:
    """Return the SHA-256 of the whole mapping, hexadecimal."""
    return hashlib.sha256(canonical_json(mapping).encode()).hexdigest()


def structure_hash(mapping: Mapping) -> str:
    """Return the SHA-256 of the mapping without the values of its codecs, hexadecimal.

    Those values live in the archive's functions, from Up on; all else is in the text of Down, which
    therefore must be of the same structure. Which columns are secret concerns readers alone.
    """
    document = mapping.model_dump(mode="json")
    for part in (document["target"], *document["dependant"]):
        part.pop("secret")
    for column in document["column"]:
        for name in ("forward", "back", "min", "max"):
            column.pop(name, None)
    text = json.dumps(document, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _lines(value: Any, *, depth: int) -> str:
    """Return JSON whose outer ``depth`` levels stand on lines of their own."""
    if depth and isinstance(value, dict):
        members = (f"{json.dumps(key)}: {_lines(v, depth=depth - 1)}" for key, v in value.items())
        return "{\n" + ",\n".join(members) + "}"
    if depth and isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n" + ",\n".join(_lines(item, depth=depth - 1) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _added(column: Definition) -> str:
    """Return the definition that an ADD COLUMN has: rows that exist take ``existing``."""
    parts = [column.type]
    if column.not_null:
        parts.append("NOT NULL")
    if column.existing_value != "NULL":
        parts.append(f"DEFAULT {column.existing_value}")
    return " ".join(parts)


def _created(column: Definition) -> str:
    if column.serial:
        return "bigserial" if column.type == "bigint" else "serial"
    parts = [column.type]
    if column.not_null:
        parts.append("NOT NULL")
    if column.default is not None:
        parts.append(f"DEFAULT {column.default}")
    return " ".join(parts)


def _default_again(column: Definition) -> str:
    return f"SET DEFAULT {column.default}" if column.default is not None else "DROP DEFAULT"


def _changed_defaults(columns: Columns) -> list[tuple[str, str | None]]:
    """Return the columns whose default is not what rows from before the cutover hold."""
    return [(name, d.default) for name, d in columns.items() if d.existing is not None]


def _returning(mapping: Mapping, dependant: Dependant) -> str:
    """Return the condition under which a dependant's row finds its place again."""
    name, target = mapping.name, mapping.target
    last_down = f"(SELECT max(turn) FROM archive.{name}_turns WHERE direction = 'down')"
    person = (
        f"EXISTS (SELECT FROM public.{identifier(target.table)} AS t"
        f" WHERE t.{identifier(target.key)} = x.{identifier(dependant.column)})"
    )
    conditions = [f"x.refactorkit_turn = {last_down}", person]
    conditions += [
        f"(x.{identifier(fk.column)} IS NULL OR"
        f" EXISTS (SELECT FROM public.{identifier(fk.references)} AS p"
        f" WHERE p.{identifier(fk.references_key)} = x.{identifier(fk.column)}))"
        for fk in dependant.foreign_keys
    ]
    for unique in (dependant.key, *dependant.unique):
        same = " AND ".join(f"o.{identifier(c)} = x.{identifier(c)}" for c in unique)
        conditions.append(
            f"NOT EXISTS (SELECT FROM public.{identifier(dependant.table)} AS o WHERE {same})"
        )
    return "WHERE " + "\n            AND ".join(conditions)


def _without_runs_of_blank_lines(lines: object) -> list[str]:
    kept: list[str] = []
    for line in lines:  # type: ignore[attr-defined]
        if line or (kept and kept[-1]):
            kept.append(line)
    return kept
