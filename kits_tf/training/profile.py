"""A profile of some steps, for TensorBoard."""

import tensorflow as tf

# Steps before it, in which functions are traced and buffers fill.
WARM_UP = 2


class Profile:
    """Records some steps of a run with TensorFlow's profiler.

    Args:
        folder: of TensorBoard's files.
        count: steps to record; 0: none.
    """

    def __init__(self, folder: str, count: int) -> None:
        self.folder, self.count = folder, count
        self._taken, self._on = 0, False

    def step(self) -> None:
        """Notes that a step was taken."""
        self._taken += 1
        if self.count and self._taken == WARM_UP:
            tf.profiler.experimental.start(self.folder)
            self._on = True
        elif self._taken == WARM_UP + self.count:
            self.close()

    def close(self) -> None:
        """Ends the recording, if it is on."""
        if self._on:
            self._on = False
            tf.profiler.experimental.stop()
            print(f"wrote a profile of {self._taken - WARM_UP} steps to {self.folder}", flush=True)
