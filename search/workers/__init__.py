"""The pool trains tasks in processes, here or on Ray, and takes care of those that die or hang."""
