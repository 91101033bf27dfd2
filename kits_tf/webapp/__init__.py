"""The page on which a scan is dropped, segmented, looked at, corrected and measured.

studies   which scans there are, whose they are, and what has become of them
uploads   from a browser's bytes to files
worker    from files to masks, one scan after the other
outcome   what is told of a mask
routes    what a browser may ask
pages/    what it shows
"""
