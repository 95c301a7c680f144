"""Which registered models there are to be served."""

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline.command.deadline import bounded
from pipeline.command.errors import ConfigError, UnavailableError
from pipeline.command.redact import redact
from pipeline.command.section import did_you_mean
from pipeline.tracking.database import database_of
from search.artifacts.registry import CHAMPION, first_line

_ANSWER_SECONDS = 60.0  # in all


@bounded(_ANSWER_SECONDS)
def _champions(uri: str) -> dict[str, bool]:
    """The models that are registered, and whether each has a champion."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found: dict[str, bool] = {}
    token = None
    while True:
        page = client.search_registered_models(page_token=token)
        found |= {model.name: CHAMPION in model.aliases for model in page}
        token = page.token
        if not token:
            return found


def served(uri: str, name: str | None) -> str:
    """The address of the champion of the study `name`, or of the only one if that is None.

    Raises ConfigError, saying which there are, where there is none; nothing is created.
    """
    database = database_of(uri)
    if database is not None and not database.exists():
        raise ConfigError(
            f"tracking.uri: there is no MLflow database {database.absolute()} (run a study, then "
            "python -m search.export study.name=NAME, or name the database of one)"
        )
    try:
        models = _champions(uri)
    except (MlflowException, OSError) as error:
        raise UnavailableError(f"tracking.uri: {redact(uri)}: {first_line(error)}") from error
    champions = [each for each, has_one in models.items() if has_one]
    if name is None and len(champions) == 1:
        name = champions[0]
    if name in champions:
        return f"models:/{name}@{CHAMPION}"
    wrong = "is missing" if name is None else f"no model of {name} is registered"
    if name in models:
        wrong = f"{name} has a registered model, but none of its versions is {CHAMPION}"
    raise ConfigError(
        f"study.name: {wrong}{did_you_mean(name or '', champions)}; in {redact(uri)} there are: "
        f"{', '.join(champions) or 'none'} (python -m search.export study.name={name or 'NAME'} "
        "registers one)"
    )
