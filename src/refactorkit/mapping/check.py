"""What several parts of a mapping must agree on, before any of it becomes SQL.

What the compiler cannot give back without loss, or cannot compile, is refused here, with the
place. Blind spots: the database itself (the migration's guards look at it), and what the SQL of a
CHECK or of a default means.
"""

from collections.abc import Iterator

from refactorkit.mapping import (
    check_codecs,
    check_images,
    check_names,
    check_native,
    check_parts,
    check_subject,
)
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.problem import Problem

_CHECKS = (
    check_parts.tables,
    check_parts.source,
    check_parts.target,
    check_parts.links,
    check_parts.dependants,
    check_parts.new_tables,
    check_codecs.source_columns,
    check_codecs.target_columns,
    check_codecs.types,
    check_codecs.inverses,
    check_codecs.nulls,
    check_images.images,
    check_subject.values,
    check_subject.every_column_has_a_value,
    check_subject.rights,
    check_native.columns,
    check_native.shown_rows,
    check_names.constraints,
    check_names.relations,
    check_names.lengths,
)


def check(mapping: Mapping) -> Iterator[Problem]:
    """Yield everything that is wrong between the parts of a mapping."""
    for look in _CHECKS:
        yield from look(mapping)
