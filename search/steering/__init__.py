"""Studies on record are listed, watched, stopped, renamed and deleted, from any terminal."""
