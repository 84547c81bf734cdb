"""What a subject holds: every column has a value, of its type, and none gives rights."""

from collections.abc import Iterator

from refactorkit.mapping.column_types import INTEGER_BOUNDS
from refactorkit.mapping.model import Copied, Definition, Mapping, Template, targets_of
from refactorkit.mapping.problem import Problem


def values(mapping: Mapping) -> Iterator[Problem]:
    """A value under [subject] is for a column of the target, and of its type."""
    target = mapping.target
    columns = {**target.columns, **target.adds}
    for name, value in mapping.subject.items():
        at = ("subject", name)
        column = columns.get(name)
        if column is None:
            yield Problem(
                location=at,
                text=f"there is no column {name} in [target.columns] or [target.adds]",
            )
        elif name == target.key:
            yield Problem(location=at, text="the key of a subject comes from its pair")
        elif isinstance(value, Copied):
            source = mapping.source.columns.get(value.column)
            if source is not None and source.type != column.type:
                yield Problem(
                    location=at,
                    text=f"{value.column} is {source.type} and {name} is {column.type}: a copy"
                    " needs one type",
                )
            if source is not None and source.not_null != column.not_null:
                yield Problem(
                    location=at,
                    text=f"of {value.column} and {name} one is NOT NULL: a copy needs both, or"
                    " neither",
                )
        elif isinstance(value, Template):
            if column.type != "text":
                yield Problem(location=at, text=f"a template is text, and {name} is {column.type}")
        elif not _fits(value, column):
            yield Problem(location=at, text=f"the value does not fit: {name} is {column.type}")


def _fits(value: str | bool | int, column: Definition) -> bool:
    if isinstance(value, bool):
        return column.type == "boolean"
    if isinstance(value, int):
        low, high = INTEGER_BOUNDS.get(column.type, (0, -1))
        return low <= value <= high
    return column.type == "text"


def every_column_has_a_value(mapping: Mapping) -> Iterator[Problem]:
    """A column of the target that refuses NULL has a default, a codec or a value."""
    target = mapping.target
    mapped = {name for column in mapping.column for name in targets_of(column)}
    for name, column in target.columns.items():
        has_default = column.serial or column.default is not None or name in target.defaults
        if column.not_null and not has_default and name not in {*mapped, *mapping.subject}:
            yield Problem(
                location=("target", "columns", name),
                text=f"{name} is NOT NULL: say under [subject] what a subject holds there",
            )


def rights(mapping: Mapping) -> Iterator[Problem]:
    """A subject has no rights, and nobody can log in as one."""
    native, subject = mapping.native, mapping.subject
    if native.login is not None and subject.get(native.login) is not False:
        yield Problem(
            location=("subject", native.login) if native.login in subject else ("subject",),
            text=f"nobody may log in as a subject: {native.login} = false",
        )
    if native.rights is not None:
        flag, column = native.rights.flag, native.rights.column
        if subject.get(flag, False) is not False:
            yield Problem(
                location=("subject", flag), text=f"a subject has no rights: {flag} = false"
            )
        role = subject.get(column)
        if not isinstance(role, str):
            yield Problem(
                location=("subject", column) if column in subject else ("subject",),
                text=f"say which {column} a subject has, one without rights",
            )
        elif role == native.rights.value:
            yield Problem(
                location=("subject", column),
                text=f"this {column} has rights ([native.rights] says so): give subjects another",
            )
    for name, mark in native.deleted.items():
        if name in subject and (mark in {"NOT NULL", subject[name]}):
            yield Problem(location=("subject", name), text="a subject may not begin as deleted")
