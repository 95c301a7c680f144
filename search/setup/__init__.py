"""A composed configuration becomes checked objects, and those one launch of a study."""
