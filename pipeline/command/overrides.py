"""What was typed, word by word: which setting each word is for."""


def key(override: str) -> str:
    """The setting that `override` is for: `study.lock` of `++study.lock=skip`, `sampler` of `~sampler`."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]
