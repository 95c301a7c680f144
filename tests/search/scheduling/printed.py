"""What the tests of schedules print."""

from search.scheduling.cron import check
from search.scheduling.request import ScheduleConfig, launch
from search.scheduling.targets import render
from search.study.vocabulary import StudyConfig

CONFIG = ScheduleConfig(hours=6.0, grace_seconds=60, gpus=2, image="plumbline:1")
STUDY = StudyConfig(name="full", question=None, trials=40, lock="fail", space={})


def rendered(
    target: str,
    cron: str = "30 2 * * 1-5",
    *overrides: str,
    python: str = "/opt/py/python",
    folder: str = "/srv/my runs",
    config: ScheduleConfig = CONFIG,
) -> str:
    words = launch(["+study=full", *overrides], STUDY, config)
    return render(target, check(cron), config, "full", words, python, folder)
