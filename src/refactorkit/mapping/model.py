"""What a mapping file says, as values, each checked by itself.

The models forbid what they do not know. What concerns several parts at once (a column that exists,
a target that is mapped once, an inverse) is checked by ``refactorkit.mapping.check``.
"""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_serializer,
    model_validator,
)

from refactorkit.mapping.column_types import parse_column
from refactorkit.mapping.texts import (
    Constant,
    Expression,
    FileName,
    Identifier,
    Prefix,
    TemplateText,
    Value,
    scalar,
)

Names = Annotated[list[Identifier], Field(min_length=1)]
OnDelete = Literal["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"]


Scalar = Annotated[str | bool | int, BeforeValidator(scalar)]


class _Part(BaseModel):
    """A part of the mapping: frozen, exact, nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Definition(_Part):
    """What a column is, as in ``integer NOT NULL DEFAULT 3``.

    Attributes:
        type: PostgreSQL's name of the type, as ``format_type`` prints it.
        not_null: whether NULL is refused.
        default: the default's expression as ``pg_get_expr`` prints it, or None.
        serial: whether the default is the next value of the column's own sequence.
        existing: what rows from before the cutover hold, an expression; None: the default.
    """

    type: str
    not_null: bool = False
    default: Expression | None = None
    serial: bool = False
    existing: Expression | None = None

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        """Take ``"type [NOT NULL] [DEFAULT …| serial]"`` or ``{is = …, existing = …}``."""
        if isinstance(value, Definition):
            return value
        document = value if isinstance(value, dict) else {"is": value}
        unknown = sorted(set(document) - {"is", "existing"})
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}: a column has `is` and `existing`")
        text = document.get("is")
        if not isinstance(text, str):
            raise ValueError("a column is a text, or a table with `is` (a text) and `existing`")  # noqa: TRY004
        return {**parse_column(text), "existing": document.get("existing")}

    @model_serializer(mode="plain")
    def _text(self) -> str | dict[str, str]:
        """Return the column as a mapping file writes it."""
        default = "serial" if self.serial else self.default and f"DEFAULT {self.default}"
        parts = [self.type, "NOT NULL" if self.not_null else "", default]
        text = " ".join(part for part in parts if part)
        return text if self.existing is None else {"is": text, "existing": self.existing}

    @property
    def existing_value(self) -> str:
        """The expression that rows from before the cutover hold."""
        return self.existing or self.default or "NULL"


Columns: TypeAlias = dict[Identifier, Definition]


class ForeignKey(_Part):
    """A foreign key of one column to the key of another table."""

    name: Identifier
    column: Identifier
    references: Identifier
    on_delete: OnDelete = "NO ACTION"
    references_key: Identifier = "id"


class Source(_Part):
    """The table that goes away."""

    table: Identifier
    key: Identifier
    touched: Identifier | None = None
    owner: Identifier | None = None
    columns: Columns
    foreign_keys: list[ForeignKey] = []


class Target(_Part):
    """The table that takes the source's rows."""

    table: Identifier
    key: Identifier
    columns: Columns
    defaults: dict[Identifier, Expression] = {}
    adds: Columns = {}
    checks: dict[Identifier, Expression] = {}
    indexes: dict[Identifier, Names] = {}
    foreign_keys: list[ForeignKey] = []
    secret: list[Identifier] = []


class Template(_Part):
    """A text with the source's key in it, such as ``patient-{id}@unclaimed.invalid``."""

    template: TemplateText

    @property
    def before(self) -> str:
        """The text before the key."""
        return self.template.split("{id}")[0]

    @property
    def after(self) -> str:
        """The text after the key."""
        return self.template.split("{id}")[1]


class Copied(_Part):
    """The value of a source column, carried forward and never back."""

    column: Identifier


def _kind_of_value(value: object) -> str:
    if isinstance(value, Template) or (isinstance(value, dict) and "template" in value):
        return "template"
    return "column" if isinstance(value, Copied | dict) else "constant"


SubjectValue = Annotated[
    Annotated[Scalar, Tag("constant")]
    | Annotated[Template, Tag("template")]
    | Annotated[Copied, Tag("column")],
    Discriminator(_kind_of_value),
]


class SplitLast(_Part):
    """Text in two: at the last space; back: joined by one space."""

    source: Identifier
    codec: Literal["split_last"]
    target: Annotated[list[Identifier], Field(min_length=2, max_length=2)]
    profile: Literal[False] = False


class Values(_Part):
    """Text by a table of values; what the table does not name has no forward image."""

    source: Identifier
    codec: Literal["values"]
    target: Identifier
    forward: Annotated[dict[Value, Value], Field(min_length=1)]
    back: Annotated[dict[Value, Value], Field(min_length=1)]
    profile: bool = False


class Range(_Part):
    """A number itself within bounds, both included; outside them it has no forward image."""

    source: Identifier
    codec: Literal["range"]
    target: Identifier
    min: int
    max: int
    profile: bool = False


class NullAs(_Part):
    """The value itself; NULL goes forward as ``value``."""

    source: Identifier
    codec: Literal["null_as"]
    target: Identifier
    value: Scalar
    profile: bool = False


class Same(_Part):
    """The value itself."""

    source: Identifier
    codec: Literal["same"]
    target: Identifier
    profile: bool = False


class ArchiveOnly(_Part):
    """No place in the target: the value stays in the archive and comes back."""

    source: Identifier
    codec: Literal["archive"]
    profile: Literal[False] = False


Column: TypeAlias = SplitLast | Values | Range | NullAs | Same | ArchiveOnly


def targets_of(column: Column) -> tuple[str, ...]:
    """Return the target columns of one mapped column: none, one or two."""
    if isinstance(column, ArchiveOnly):
        return ()
    return tuple(column.target) if isinstance(column, SplitLast) else (column.target,)


class Link(_Part):
    """A table that points at the source and stays: its column is renamed and relinked."""

    table: Identifier
    key: Identifier
    column: Identifier
    becomes: Identifier
    foreign_key: Identifier
    foreign_key_becomes: Identifier
    on_delete: OnDelete = "NO ACTION"
    columns: Columns
    indexes: dict[Identifier, Identifier] = {}
    adds: Columns = {}


class Dependant(_Part):
    """A table of both versions that points at the target: its rows follow a subject."""

    table: Identifier
    key: Names
    column: Identifier
    foreign_key: Identifier
    on_delete: OnDelete = "NO ACTION"
    unique: list[Names] = []
    foreign_keys: list[ForeignKey] = []
    secret: list[Identifier] = []


class NewTable(_Part):
    """A table that only the new version has, with a column that points at the target."""

    table: Identifier
    key: Identifier
    column: Identifier
    foreign_key: Identifier
    on_delete: OnDelete = "NO ACTION"
    columns: Columns
    checks: dict[Identifier, Expression] = {}
    indexes: dict[Identifier, Names] = {}


class Rights(_Part):
    """A flag of the new version that stands for a role of the old one."""

    flag: Identifier
    column: Identifier
    value: Constant
    without_flag: Constant


class Native(_Part):
    """What Down does with target rows that are nobody's subject."""

    named: Identifier | None = None
    named_by: Identifier | None = None
    login: Identifier | None = None
    rights: Rights | None = None
    deleted: dict[Identifier, Constant] = {}

    @model_validator(mode="after")
    def _name_needs_both(self) -> Self:
        if (self.named is None) != (self.named_by is None):
            raise ValueError("`named` and `named_by` go together")
        return self


class Mapping(_Part):
    """A whole mapping file: one source, one target, and what hangs on them."""

    format: Literal[1]
    name: Prefix
    migration: FileName
    source: Source
    target: Target
    subject: dict[Identifier, SubjectValue] = {}
    column: list[Annotated[Column, Field(discriminator="codec")]]
    link: list[Link] = []
    dependant: list[Dependant] = []
    table: list[NewTable] = []
    native: Native = Native()

    @property
    def version(self) -> int:
        """The version of the migration that the mapping is compiled into."""
        return int(self.migration.split("_", 1)[0])
