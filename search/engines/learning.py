"""Who learns from trials that another study has."""

from pipeline.command.errors import ConfigError

_DEAF = {
    *("RandomSampler", "GridSampler", "QMCSampler", "CmaEsSampler", "NSGAIISampler"),
    *("RandomOracle", "GridOracle", "HyperbandOracle"),
}
"""Samplers and oracles to which trials that they have not suggested say nothing."""

_LEARNS = {"sampler": "tpe", "oracle": "bayesian"}


def check_learns(part: str, suggests: str, prunes: bool) -> None:
    """Raise ConfigError where neither the sampler or oracle learns from others, nor a pruner.

    `part`: sampler or oracle; `suggests`: its class; `prunes`: whether there is a pruner.
    """
    if suggests in _DEAF and not prunes:
        raise ConfigError(
            f"study.warm_start: {suggests} learns from no trials but its own (take {part}={_LEARNS[part]}, "
            "or leave study.warm_start out)"
        )
