"""From a composed configuration to checked objects, and to one launch of a study."""
