"""Reading files of records, and finding out which one is damaged."""

import os
from collections.abc import Iterable

import tensorflow as tf

from tfrecords_tools.errors import RecordError


def check_files(paths: Iterable[str | os.PathLike]) -> None:
    """Reads every record of every file.

    Raises:
        RecordError: a file is missing, cut short or has a flipped byte; the message names the file and the record.
    """
    for path in paths:
        count = 0
        try:
            for _ in tf.data.TFRecordDataset(os.fspath(path)):
                count += 1
        except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
            reason = error.message.split("[")[0].strip()
            raise RecordError(f"{path}: expected whole records, record {count} cannot be read: {reason}") from None
