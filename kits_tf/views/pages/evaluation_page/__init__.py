"""An evaluation as a page.

plan            sizes of the pictures, so that the page stays small
case, volumes   the pictures of a case, and its volumes for the viewer
charts, tables  scores of all cases
viewer          what the script of the viewer reads
page            all of it in the template
"""
