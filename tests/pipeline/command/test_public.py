"""What is told to the world is on a list: settings that decide numbers, no command and no address."""

import pytest

from pipeline.command import public
from pipeline.command.compose import CONF, compose, from_yaml, to_yaml
from pipeline.command.section import flatten

HIDDEN = {
    "study.on_end": "curl -H 'Authorization: Bearer apple' https://hooks/apple",
    "study.summary": "/home/ann/apple.json",
    "storage.url": "postgresql://ann:apple@host/db",
    "storage.weights": "/mnt/apple",
    "tracking.uri": "https://apple@host",
    "report.path": "apple.html",
    "launcher.address": "apple:6379",
    "schedule.image": "host/apple:1",
    "schedule.template": "apple.sh",
    "cron": "apple",
    "export.path": "apple/",
}


@pytest.mark.parametrize(("path", "text"), HIDDEN.items())
def test_a_command_or_an_address_is_not_public(path: str, text: str) -> None:
    *sections, name = path.split(".")
    tree: dict[str, object] = {name: text}
    for section in reversed(sections):
        tree = {section: tree}
    assert "apple" not in public.config(to_yaml(tree))
    assert "***" in public.config(to_yaml(tree))
    for prefix in ("", "+", "++"):
        typed = f"{prefix}{path}={text}"
        assert public.word(typed) == f"{prefix}{path}=***"


@pytest.mark.parametrize(
    "typed",
    [
        *("+study=dropout", "data=npz", "sampler=grid", "launcher=ray", "tracking=none"),
        *("model.dropout=0.3", "train.optimizer=sgd", "model.hidden_units=[64,32]", "--cfg"),
        *("study.name=mine", "study.question='How much?'", "study.trials=30", "~sampler.seed"),
        *("study.space.model.dropout={low: 0.1, high: 0.2}", "launcher.workers=4"),
        *("sampler.seed=null", "oracle.beta=2.5", "sampler.qmc_type=halton", "study.lock=skip"),
        *("study.max_seconds=1e3", "launcher.require_gpu=true", "objective.metric=val_loss"),
    ],
)
def test_what_decides_the_numbers_is_public(typed: str) -> None:
    assert public.word(typed) == typed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "python -m search.optimize +study=smoke storage.url=apple train.epochs=3",
            "python -m search.optimize +study=smoke 'storage.url=***' train.epochs=3",
        ),
        (
            "python -m search.optimize --config-dir /home/apple=x/conf +study=smoke",
            "python -m search.optimize --config-dir '***' +study=smoke",
        ),
        (
            "python -m search.optimize --config-dir=/home/apple +study=smoke",
            "python -m search.optimize '--config-dir=***' +study=smoke",
        ),
        (
            "python -m search.optimize data=npz data.path=/home/apple/my.npz",
            "python -m search.optimize data=npz data.path=my.npz",
        ),
        (
            "python -m search.optimize apple +sampler.key=apple",
            "python -m search.optimize '***' '+sampler.key=***'",
        ),
        (
            "python -m search.optimize 'study.question=http://ann:apple@host?'",
            "python -m search.optimize 'study.question=http://ann:***@host?'",
        ),
    ],
)
def test_of_a_command_the_words_that_are_not_public_are_hidden(text: str, shown: str) -> None:
    assert public.command(text) == shown
    assert public.command(shown) == shown


@pytest.mark.parametrize("group", ["sampler", "pruner", "oracle", "model", "train", "data"])
def test_all_that_a_sampler_or_a_network_is_told_is_public(group: str) -> None:
    """A setting that is added to conf/ is public, or its text is missed where numbers are told."""
    for file in sorted((CONF / group).glob("*.yaml")):
        values = {group: compose([f"{group}={file.stem}"])[group]}
        if values[group].get("path", "there is none") is None:
            values[group]["path"] = "/home/ann/my.npz"
        shown = dict(flatten(from_yaml(public.config(to_yaml(values)))))
        assert shown == dict(flatten(values)) | (
            {"data.path": "my.npz"} if "data.path" in shown else {}
        )


def test_a_configuration_that_is_hidden_once_stays_as_it_is() -> None:
    once = public.config(to_yaml(compose(["+study=smoke", "study.on_end=apple"])))
    assert public.config(once) == once
    assert from_yaml(once)["study"]["on_end"] == "***"
    assert from_yaml(once)["study"]["max_seconds"] is None


def test_a_configuration_is_read_once_however_often_it_is_told() -> None:
    text = to_yaml(compose(["+study=smoke"]))
    assert public.config(text) is public.config(text)


@pytest.mark.parametrize(
    ("typed", "private"),
    [
        ("study.on_end=./done.sh", True),
        ("storage.url=postgresql://ann:apple@host/db", True),
        ("tracking.uri=https://apple@host", True),
        ("tracking.uri=http://host:5000", False),
        ("study.name=mine", False),
        ("storage.url='${oc.env:STORAGE_URL}'", False),
    ],
)
def test_what_may_be_a_secret_is_known(typed: str, private: bool) -> None:
    assert public.is_private(typed) is private


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "storage.url: postgresql://ann:apple@host/db: no server",
            "storage.url: postgresql://*** no server",
        ),
        ("failed to reach https://apple@host/x (twice)", "failed to reach https://*** (twice)"),
        ("fetch('http://host/apple')", "fetch('http://***')"),
        ("loss is nan at epoch 2", "loss is nan at epoch 2"),
    ],
)
def test_the_words_of_an_error_name_no_address(text: str, shown: str) -> None:
    assert public.error(text) == shown
