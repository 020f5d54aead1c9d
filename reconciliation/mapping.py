"""How a file that follows no standard is read: which column means what. Part of ``sources.yaml``, read by
``formats.mapped``.

Law: nothing is guessed. Decimal mark, date pattern, sign and zone are said, or the file is refused.
"""

from pydantic import BaseModel, ConfigDict


class MappingRules(BaseModel):
    """Columns of the file by the names of the canonical line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, str]
