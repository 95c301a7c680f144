"""What a study's trials mean: facts, ranks, importance, and how sure that is."""
