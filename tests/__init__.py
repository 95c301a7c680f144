"""The tests mirror the rooms: one folder per package."""
