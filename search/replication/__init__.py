"""The published networks are trained, kept on record, and compared with what their sources report."""
