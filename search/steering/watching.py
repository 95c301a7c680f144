"""A launch is watched from elsewhere: what it records, as it does."""

import time

from rich.console import Console

from search.steering.listing import headline, in_full, one_of, progress_of
from search.steering.standing import Standing
from search.study.vocabulary import Entry

_PAUSE_SECONDS = 1.0
_SHARE = 5  # and no less than this many times as long as reading took


def watch(url: str, name: str, screen: Console) -> Standing:
    """Show the study until no launch is under way; how it stands then."""
    study = one_of(url, name)
    while study.held:
        screen.print(headline(study), soft_wrap=True)
        study = _follow(url, study, screen)
    screen.print(in_full(study), crop=False)
    return study


def _follow(url: str, study: Standing, screen: Console) -> Standing:
    """Show one launch until it is over, or another one has begun."""
    first, name = study, study.about.name
    with progress_of(study, screen) as progress:
        while study.held and _is_of(study) == _is_of(first):
            progress.update({entry.number: entry for entry in study.running})
            known = set(map(_end, study.ended))
            began = time.monotonic()
            study = one_of(url, name)
            for entry in sorted(study.ended, key=lambda e: e.ended_at or 0.0):
                if _end(entry) not in known:
                    progress.ended(entry)
            time.sleep(max(_PAUSE_SECONDS, _SHARE * (time.monotonic() - began)))
    return study


def _is_of(study: Standing) -> tuple[str | None, int]:
    return None if study.launch is None else study.launch.id, study.about.trials


def _end(entry: Entry) -> tuple[int, float | None]:
    return entry.number, entry.ended_at
