"""Shards on a fast disk of this machine."""

import hashlib
import os
import shutil

from kits_tf.base.files import written_whole
from kits_tf.base.paths import as_path
from kits_tf.base.progress import track
from kits_tf.pipeline.manifest import Manifest

_BLOCK_BYTES = 1 << 24


def copy_shards(manifest: Manifest, records_dir: str | os.PathLike, cache_dir: str | os.PathLike) -> str:
    """Copies the shards of training and validation cases to a folder, and returns where they are in it.

    What an earlier call copied is not copied again. Other records get another folder below `cache_dir`.

    Raises:
        OSError: the disk is full, or a file cannot be read or written; nothing half-written is left.
    """
    digest = hashlib.sha256("".join(sorted(shard.sha256 for shard in manifest.shards.values())).encode()).hexdigest()
    folder = as_path(cache_dir) / f"kits_tf-{digest[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [*manifest.shard_paths("train", records_dir), *manifest.shard_paths("validation", records_dir)]
    missing = [path for path in map(as_path, paths) if not (folder / path.name).exists()]
    for path in track(missing, "cache: shard", len(missing)):
        with path.open("rb") as source, written_whole(folder / path.name) as partial, partial.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK_BYTES)
    return os.fspath(folder)
