"""When a cron expression runs, in the words of every scheduler."""

import re
import shutil
import subprocess

import pytest

from pipeline.command.errors import ConfigError
from search.scheduling.cron import check, to_crontab, to_systemd


@pytest.mark.parametrize(
    ("cron", "calendar"),
    [
        ("0 2 * * *", "*-*-* 02:00:00"),
        ("*/15 * * * *", "*-*-* *:00/15:00"),
        ("0 8-18/2 * * 1-5", "Mon,Tue,Wed,Thu,Fri *-*-* 08..18/2:00:00"),
        ("5 4 1,15 * *", "*-*-01,15 04:05:00"),
        ("0 0 * 6 0", "Sun *-06-* 00:00:00"),
        ("0 0 * * 7", "Sun *-*-* 00:00:00"),
        ("0 0 */10 */3 *", "*-01/3-01/10 00:00:00"),
        ("0 0 * * */2", "Sun,Tue,Thu,Sat *-*-* 00:00:00"),
        ("@hourly", "*-*-* *:00:00"),
        ("30 9 * jan-mar,DEC Mon,wed", "Mon,Wed *-01..03,12-* 09:30:00"),
    ],
)
def test_systemd_runs_at_the_times_of_cron(cron: str, calendar: str) -> None:
    assert to_systemd(check(cron)) == calendar


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        ("0 2 * * MON-FRI", "02 05 06 07"),
        ("0 2 * * FRI-SUN", "02 03 04 09"),
        ("0 2 * * 5-7", "02 03 04 09"),
        ("0 2 * * MON-SUN/3", "04 05 08 11"),  # Monday, Thursday, Sunday
        ("0 2 * * SUN,TUE", "04 06 11 13"),
        ("0 2 31 * *", "31 31 31 31"),
        ("@daily", "02 03 04 05"),
        ("@weekly", "04 11 18 25"),
        ("@monthly", "01 01 01 01"),
        ("0 2 */10 * *", "11 21 31 01"),
    ],
)
def test_systemd_itself_reads_those_days(cron: str, days: str) -> None:
    """From three in the night of Thursday, the first of January 2026, on."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    arguments = ["--iterations=4", "--base-time=2026-01-01 03:00:00", to_systemd(check(cron))]
    done = subprocess.run(
        ["systemd-analyze", "calendar", *arguments],
        capture_output=True,
        text=True,
        env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"(?:elapse|#\d): \w{3} \d{4}-\d\d-(\d\d)", done.stdout)
    assert " ".join(found) == days


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("0 2 * * MON-FRI", "0 2 * * 1-5"),
        ("0 2 * jan-JUN/2 sat", "0 2 * 1,3,5 6"),
        ("0 2 * * fri-sun", "0 2 * * 0,5,6"),
        ("0 2 * * SUN-TUE", "0 2 * * 0-2"),
        ("0 2 * * 7", "0 2 * * 0"),
        ("0 2 * * 5-7", "0 2 * * 0,5,6"),
        ("0 2 * * */2", "0 2 * * 0,2,4,6"),
        ("*/15 9-17/4 * * *", "*/15 9,13,17 * * *"),
        ("*/20,7 2 * * *", "0,7,20,40 2 * * *"),
        ("30  2\t* * 1-5 ", "30 2 * * 1-5"),
        ("@yearly", "0 0 1 1 *"),
        ("@Annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@DAILY", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 2 1", "0 0 31 2 1"),
    ],
)
def test_cron_kubernetes_and_slurm_are_told_what_they_read_alike(
    written: str, numbers: str
) -> None:
    """Numbers for names, no day 7, a range's steps written out: scrontab counts them from elsewhere."""
    assert to_crontab(check(written)) == numbers


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("", "five fields"),
        ("0 2 * *", "five fields"),
        ("0 0 2 * * *", "five fields (minute hour day month weekday) or one of @yearly"),
        (
            "@reboot",
            "or one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, got",
        ),
        ("@every 1h", "five fields"),
        ("60 2 * * *", "minute: expected *, numbers from 0 to 59"),
        ("0 24 * * *", "hour"),
        ("0 0 0 * *", "day of month"),
        ("0 0 * 13 *", "month: expected *, numbers from 1 to 12, JAN to DEC, ranges"),
        ("0 0 * * 8", "day of week: expected *, numbers from 0 to 7, SUN to SAT, ranges"),
        ("0 5-2 * * *", "got '5-2'"),
        ("0 2 * * FRI-MON", "got 'fri-mon'"),
        ("*/0 * * * *", "got '*/0'"),
        ("5/15 * * * *", "minute: expected *, numbers from 0 to 59"),
        ("0 2 * * 7/2", "day of week: expected *, numbers from 0 to 7"),
        ("0 */24 * * *", "steps */2, 1-5/2 up to 23, got '*/24'"),
        ("0 2 * * monday", "got 'monday'"),
        ("0 2 * mon *", "month: expected"),
        ("mon 2 * * *", "minute: expected *, numbers from 0 to 59, ranges"),
        ("0 2 * * 1,,2", "got ''"),
        ("0 2 ? * 1", "day of month: expected"),
        ("0 2 L * *", "day of month: expected"),
        ("0 2 * * 1#2", "day of week: expected"),
        ("٣ 2 * * *", "minute: expected"),
        (f"{'9' * 5000} 2 * * *", "minute: expected"),
        ("0 2 * * *\n", r"got '*\n'"),
        ("0 2 * * *\n* * * * * id", "five fields"),
        ("0 2 * *\n*", "five fields"),
        ("0 2 30 2 *", "day of month 30 never comes in month 2"),
        ("0 2 31 feb,4,6,9,11 *", "never comes in month 2,4,6,9,11"),
        ("0 2 */2 * MON", "some schedulers want both, some either"),
        ("0 2 1 * */2", "some schedulers want both, some either"),
    ],
)
def test_a_bad_cron_expression_names_its_field(cron: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        check(cron)
    assert str(refused.value).startswith("cron: ")


def test_a_day_or_a_weekday_is_refused_for_systemd_which_means_both() -> None:
    with pytest.raises(ConfigError, match="give one"):
        to_systemd(check("0 0 1 * 1"))
