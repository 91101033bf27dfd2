"""What stands of the shards in the manifest.json beside them.

Two keys of it belong to tfrecords_tools, whatever else it holds:

    "shards": {"case_00000.tfrecord": {"num_bytes": 1024, "sha256": "9f86...", "examples": ["case_00000"]}, ...}
    "splits": {"train": ["case_00000", ...], "validation": [...], ...}

"examples" names the records of a shard in their order; "splits" (optional) says which of them belong together.
"""

from dataclasses import dataclass

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class Shard:
    """A file of records.

    Attributes:
        num_bytes: its size.
        sha256: of its bytes, in hexadecimal.
        examples: the names of its records, in order.
    """

    num_bytes: int
    sha256: str
    examples: tuple[str, ...]
