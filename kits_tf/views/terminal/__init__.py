"""Tables for the terminal, one module for each subject; `table` aligns them."""
