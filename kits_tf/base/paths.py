"""Paths of this machine's files and of remote ones, with the same methods (etils.epath has no way to add `ram://`)."""

from tfrecords_tools.paths import AnyPath, GFilePath, as_path, joined

__all__ = ["AnyPath", "GFilePath", "as_path", "joined"]
