"""Commands on single runs, one a file; nothing imports one, or anything of `search`."""
