"""A study's report is made as one page and as pictures."""
