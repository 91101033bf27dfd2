"""What a mask says of itself: a comment in JSON among the extensions of its NIfTI header."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_PROGRAM = "kits_tf"


@dataclass(frozen=True, kw_only=True)
class MaskMetadata:
    """What a mask says of itself; a mask of another program says nothing.

    Attributes:
        classes: names of the labels 0, 1, ...; () if they are not named.
        scan: digest of the scan that it was made from (`Volume.digest`); "" if it is not known.
        model: identity of the model that made it; "" if it is not known.
        warnings: sentences that a reader of the mask must know, as that intensities were accepted unchecked.
    """

    classes: tuple[str, ...] = ()
    scan: str = ""
    model: str = ""
    warnings: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Returns the comment to put into a header."""
        content = {
            "program": _PROGRAM,
            "labels": dict(enumerate(self.classes)),
            "scan": self.scan,
            "model": self.model,
            "warnings": self.warnings,
        }
        return json.dumps(content)


NO_METADATA = MaskMetadata()


def metadata_in(comments: Iterable[str | bytes]) -> MaskMetadata:
    """Returns what the comments in the header of a mask say of it; those of other programs are passed over."""
    for comment in comments:
        try:
            metadata = _parse(json.loads(comment))
        except ValueError:
            continue
        if metadata is not None:
            return metadata
    return NO_METADATA


def _parse(content: Any) -> MaskMetadata | None:
    """Returns the metadata that a comment holds; None if it is not ours. Old masks have labels alone."""
    if not isinstance(content, dict) or not (
        {"program": _PROGRAM}.items() <= content.items() or set(content) == {"labels"}
    ):
        return None
    labels, warnings = content.get("labels"), content.get("warnings", [])
    if not isinstance(labels, dict) or list(labels) != [str(label) for label in range(len(labels))]:
        return None
    texts = [*labels.values(), content.get("scan", ""), content.get("model", "")]
    if not isinstance(warnings, list) or not all(isinstance(text, str) for text in (*texts, *warnings)):
        return None
    return MaskMetadata(
        classes=tuple(labels.values()),
        scan=content.get("scan", ""),
        model=content.get("model", ""),
        warnings=tuple(warnings),
    )
