"""The failures of a command over many inputs: one bad input never costs the others, and none is forgotten."""

import logging
import re
from collections.abc import Sequence

from kits_tf.base.errors import InputError
from kits_tf.base.words import count_text, listed

logger = logging.getLogger(__name__)

# Names of the inputs that failed for one reason in a line.
_MOST_NAMES = 8


class Failures:
    """The inputs that failed while the others were done.

    Each is logged when it fails; a command of more than one input lists all of them once more at its end, where they
    are not lost between the lines of a long run. A reason that several inputs have is said once, with their names.

    Args:
        noun: word for an input, as in "scan".
        total: number of inputs.
    """

    def __init__(self, noun: str, total: int) -> None:
        self._noun, self._total = noun, total
        self._messages: list[str] = []
        self._sources: list[str] = []
        # The inputs that failed for the same reason, by that reason.
        self._alike: dict[str, list[str]] = {}

    @classmethod
    def joined(cls, parts: Sequence["Failures"]) -> "Failures":
        """Returns the failures of several groups of the same kind of input, one group at least, as those of one."""
        result = cls(parts[0]._noun, sum(part._total for part in parts))
        for part in parts:
            result._messages += part._messages
            result._sources += part._sources
            for reason, sources in part._alike.items():
                result._alike.setdefault(reason, []).extend(sources)
        return result

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def messages(self) -> tuple[str, ...]:
        """The line of each input that failed, in the order in which they failed."""
        return tuple(self._messages)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the inputs that failed, in the order in which they did."""
        return tuple(self._sources)

    def note(self, source: str, error: Exception) -> None:
        """Adds an input that failed.

        Args:
            source: name or path of the input, which its line begins with unless the error names it.
            error: reason.
        """
        reason = " ".join(str(error).split()) or type(error).__name__
        message = reason if source in reason else f"{source}: {reason}"
        alike = self._alike.setdefault(_kind(source, message), [])
        alike.append(source)
        self._messages.append(message)
        self._sources.append(source)
        if self._total > 1:
            logger.error("failed: %s", message if alike == [source] else f"{source}, for the same reason as {alike[0]}")

    def check(self, advice: str = "") -> None:
        """Lists the failures, if there are several reasons, and raises an error that names the first of them.

        Args:
            advice: end of the error's line: what to do next.

        Raises:
            InputError: an input failed.
        """
        if not self._messages:
            return
        if self._total == 1:
            raise InputError(f"{self._messages[0]}{advice}")
        count = f"{len(self)} of {count_text(self._total, self._noun)} failed"
        by_source = dict(zip(self._sources, self._messages, strict=True))
        lines = [f"{by_source[first]}{_others(others)}" for first, *others in self._alike.values()]
        if len(lines) > 1:
            logger.error("%s:", count)
            for line in lines:
                logger.error("  %s", line)
            raise InputError(f"{count}, the first: {self._messages[0]}{advice}")
        raise InputError(f"{count}, the first: {lines[0]}{advice}")


def _kind(source: str, message: str) -> str:
    """Returns a message without the name of its input."""
    return re.sub(rf"(?<!\w){re.escape(source)}(?!\w)", "", message)


def _others(names: Sequence[str]) -> str:
    return f"; the same for {listed(names, _MOST_NAMES)}" if names else ""
