"""Hyperband (Li et al. 2018)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.command.errors import ConfigError
from pipeline.command.section import PositiveInt
from search.engines.oracles.base import Arguments, Oracle
from search.engines.oracles.library import TrialStatus, keras_tuner
from search.study.space import Space
from search.study.untried import Runs


class _HyperbandArguments(Arguments):
    max_epochs: PositiveInt
    factor: Annotated[int, Field(ge=2)]
    hyperband_iterations: PositiveInt | None


class HyperbandOracle(Oracle, keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """Hyperband (Li et al. 2018): brackets of successive halving, each from another budget of epochs."""

    arguments = _HyperbandArguments
    continues = True

    def begin(
        self, direction: Literal["maximize", "minimize"], space: Space, runs: Runs, seed: int
    ) -> None:
        if "train.epochs" in space.dimensions:
            raise ConfigError(
                "study.space.train.epochs: Hyperband decides how many epochs a trial trains "
                "(leave it out, or take another oracle)"
            )
        super().begin(direction, space, runs, seed)
        self._elsewhere: set[str] = set()  # trials that are in no bracket

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """A new point for the first round of a bracket, or the best of a round for the next one."""
        suggested: dict[str, Any] = super().populate_space(trial_id)
        for bracket in self._brackets:
            if any(info["id"] == trial_id for infos in bracket["rounds"] for info in infos):
                # KerasTuner's names the newest bracket, whichever the trial is in.
                suggested["values"]["tuner/bracket"] = bracket["bracket_num"]
                suggested["values"]["tuner/iteration"] = bracket["iteration"]
        return suggested

    def place(self, number: int, notes: Mapping[str, Any], continues: int | None) -> None:
        if "tuner/bracket" not in notes:
            self._elsewhere.add(str(number))  # something else than Hyperband suggested it
            return
        iteration, bracket = notes["tuner/iteration"], notes["tuner/bracket"]
        in_round, epochs = notes["tuner/round"], notes["tuner/epochs"]
        if bracket >= self._get_num_brackets() or epochs != self._get_epochs(bracket, in_round):
            raise ConfigError(
                f"oracle: trial {number} trained {epochs} epochs in bracket {bracket}, which "
                f"max_epochs={self.max_epochs} and factor={self.factor} don't lead to "
                "(set them back, or give the new study another study.name)"
            )
        while (self._current_iteration, -self._current_bracket) < (iteration, -bracket):
            self._increment_bracket_num()
            self._start_new_bracket()
        found = next(
            each
            for each in self._brackets
            if (each["iteration"], each["bracket_num"]) == (iteration, bracket)
        )
        past = None if continues is None else str(continues)
        found["rounds"][in_round].append({"past_id": past, "id": str(number)})

    def _start_new_bracket(self) -> None:
        super()._start_new_bracket()
        self._brackets[-1]["iteration"] = self._current_iteration

    def _remove_completed_brackets(self) -> None:
        """A failed trial leaves its bracket, with those that it went on from: a new one makes up for it.

        KerasTuner's promotes fewer for each that failed, and none where many did. Brackets stay, as
        a trial of their last round may fail yet; of a full one nothing is promoted any more.
        """
        for bracket in self._brackets:
            rounds = bracket["rounds"]
            failed = {
                info["id"]
                for infos in rounds
                for info in infos
                if self.trials[info["id"]].status == TrialStatus.FAILED
            }
            for infos in reversed(rounds):
                failed |= {info["past_id"] for info in infos if info["id"] in failed}
                infos[:] = [info for info in infos if info["id"] not in failed]

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        """In a space with fewer runs than a round has places, all that are left for it fill it."""
        size = int(super()._get_size(bracket_num, round_num))
        if (runs := self._runs.count()) is None:
            return size
        gone = sum(
            trial.status == TrialStatus.FAILED or number in self._elsewhere
            for number, trial in self.trials.items()
        )
        return max(0, min(size, runs - int(gone)))
