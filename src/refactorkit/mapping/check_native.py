"""What Down does with natives: the columns it needs are there, and its rows can be written."""

from collections.abc import Iterator

from refactorkit.mapping.model import Copied, Mapping, targets_of
from refactorkit.mapping.problem import Problem


def columns(mapping: Mapping) -> Iterator[Problem]:
    """What [native] names is there, and of the right type."""
    native, target = mapping.native, mapping.target
    carried = {column.source for column in mapping.column if targets_of(column)}
    if native.named is not None and native.named not in carried:
        yield Problem(
            location=("native", "named"),
            text=f"{native.named} must be a source column that a [[column]] carries",
        )
    named = mapping.source.columns.get(native.named or "")
    if named is not None and named.type != "text":
        yield Problem(location=("native", "named"), text=f"{native.named} must be text")
    if native.named_by is not None:
        yield from _target_column(mapping, ("native", "named_by"), native.named_by, "text")
        by = target.columns.get(native.named_by)
        if by is not None and not by.not_null:
            yield Problem(
                location=("native", "named_by"), text=f"{native.named_by} must be NOT NULL"
            )
    if native.login is not None:
        yield from _target_column(mapping, ("native", "login"), native.login, "boolean")
    yield from _rights(mapping)
    yield from _deleted(mapping)


def _target_column(
    mapping: Mapping, at: tuple[str, ...], name: str, type_name: str
) -> Iterator[Problem]:
    column = mapping.target.columns.get(name)
    if column is None:
        yield Problem(location=at, text=f"there is no column {name} in [target.columns]")
    elif column.type != type_name:
        yield Problem(location=at, text=f"{name} must be {type_name}, and is {column.type}")


def _rights(mapping: Mapping) -> Iterator[Problem]:
    rights = mapping.native.rights
    if rights is None:
        return
    at = ("native", "rights")
    yield from _target_column(mapping, (*at, "column"), rights.column, "text")
    role = mapping.target.columns.get(rights.column)
    if role is not None and not role.not_null:
        yield Problem(location=(*at, "column"), text=f"{rights.column} must be NOT NULL")
    flag = mapping.target.adds.get(rights.flag)
    if flag is None:
        yield Problem(
            location=(*at, "flag"), text=f"there is no column {rights.flag} in [target.adds]"
        )
    elif (flag.type, flag.not_null, flag.existing_value) != ("boolean", True, "false"):
        yield Problem(
            location=(*at, "flag"), text=f"{rights.flag} must be boolean NOT NULL DEFAULT false"
        )
    if rights.value == rights.without_flag:
        yield Problem(
            location=(*at, "without_flag"),
            text="`without_flag` is the role that has the rights: name one without",
        )


def _deleted(mapping: Mapping) -> Iterator[Problem]:
    for name, mark in mapping.native.deleted.items():
        at = ("native", "deleted", name)
        column = mapping.target.adds.get(name)
        if column is None:
            yield Problem(location=at, text=f"there is no column {name} in [target.adds]")
        elif mark == "NOT NULL":
            if column.not_null or column.existing_value != "NULL":
                yield Problem(
                    location=at, text=f"every row would be deleted: {name} must be NULL at first"
                )
        elif column.type != "text":
            yield Problem(
                location=at, text=f"{name} must be text to be compared, and is {column.type}"
            )


def shown_rows(mapping: Mapping) -> Iterator[Problem]:
    """A native that Down shows as a source row has a value where NULL is refused."""
    source = mapping.source
    if not mapping.link and not any(column.profile for column in mapping.column):
        return
    filled = {source.key, source.owner}
    filled |= {column.source for column in mapping.column if targets_of(column)}
    filled |= {value.column for value in mapping.subject.values() if isinstance(value, Copied)}
    for name, column in source.columns.items():
        if column.not_null and column.default is None and not column.serial and name not in filled:
            yield Problem(
                location=("source", "columns", name),
                text=f"{name} is NOT NULL and stays in the archive: Down has no value for it where"
                f" a row of {mapping.target.table} is shown in {source.table}; give it a DEFAULT",
            )
