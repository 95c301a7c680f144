"""Samplers, pruners and engines are compared in simulated studies, on networks that were trained once."""
