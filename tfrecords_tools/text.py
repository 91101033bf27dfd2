"""Text files of other programs: UTF-8 with or without a byte order mark, UTF-16 and UTF-32 by their mark."""

import codecs
import os

from tfrecords_tools.errors import RecordError
from tfrecords_tools.paths import as_path

# UTF-32 before UTF-16, whose mark it begins with.
_MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32-LE"),
    (codecs.BOM_UTF32_BE, "UTF-32-BE"),
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)


def read_text(path: str | os.PathLike) -> str:
    """Returns the text of a file, without its byte order mark; line ends stay as they are.

    Raises:
        OSError: the file cannot be read.
        RecordError: it is no text in UTF-8, or in the encoding that its mark names.
    """
    content = as_path(path).read_bytes()
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "UTF-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_text(path, encoding, f"byte 0x{error.object[error.start]:02x}", len(mark) + error.start) from None
    if "\0" in text:
        offset = len(mark) + len(text[: text.index("\0")].encode(encoding))
        raise _not_text(path, encoding, "a zero character", offset)
    return text


def _not_text(path: str | os.PathLike, encoding: str, received: str, offset: int) -> RecordError:
    return RecordError(
        f"{os.fspath(path)}: expected text in {encoding}, found {received} at offset {offset}; save it as UTF-8"
    )
