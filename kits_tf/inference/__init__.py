"""Whole volumes: sliding windows, and the one segmenter behind predict and the export."""
