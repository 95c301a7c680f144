"""A study is put in words: its space, trials, ranking, identity and endings."""
