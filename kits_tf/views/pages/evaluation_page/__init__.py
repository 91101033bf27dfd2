"""An evaluation as a page: one module each for a case's pictures, its volumes, the charts, the viewer, the page."""
