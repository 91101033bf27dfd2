"""Signals the moment they come, for the rooms as for the commands."""

from tfrecords_tools.signals import SECOND_SIGNAL, free_to_end, heard_at_once

__all__ = ["SECOND_SIGNAL", "free_to_end", "heard_at_once"]
