"""Signals the moment they come, for the rooms as for the commands."""

from tfrecords_tools.signals import heard_at_once

__all__ = ["heard_at_once"]
