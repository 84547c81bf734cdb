"""What every part of a report is: frozen, exact, and of few kinds of words and numbers."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Word = Literal["pass", "fail", "incomplete"]
Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Reference = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Part(BaseModel):
    """A part of the report: frozen, exact, nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
