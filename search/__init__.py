"""Commands on studies, one a file; nothing imports one."""
