"""The JSON Schema of a report, made from its classes."""

import json
from typing import Any, Final

from refactorkit.report.model import Report

_ID: Final = "urn:refactorkit:report:v1"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the schema: nothing that it does not name is allowed anywhere."""
    return {"$schema": _DIALECT, "$id": _ID, **Report.model_json_schema(mode="serialization")}


def schema_text() -> str:
    """Return it as docs/report.schema.json has it."""
    return json.dumps(schema(), indent=2) + "\n"
