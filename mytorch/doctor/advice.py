"""What to set, from measured rates: only what gains more than two equal processes differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from statistics import median, quantiles

from mytorch.doctor.rates import Measurement, Setting

LEAST = 0.05  # a gain below five per cent is not worth a line in a shell's profile
ALIKE = 0.05  # between gains as close as this, the shorter setting is preferred, and of those the first


@dataclass
class Advice:
    """What to set, what it gains and what it costs.

    Parameters
    ----------
    setting : variables with their values; empty where nothing is to be gained
    gain : mean ratio of its rate to the present one over the cases with a batch
    ratios : the ratio in each case, those of batch 1 included
    costs : those of the ratios that say it is slower, beyond the noise
    noise : how far two processes with the present settings were apart, in three quarters of the rounds
    """

    setting: Setting = field(default_factory=dict)
    gain: float = 1.0
    ratios: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    noise: float = 0.0


def advise(measured: Sequence[Measurement], least: float = LEAST) -> Advice:
    """Choose the setting that gains most over the first of those measured.

    A gain counts where its median exceeds both `least` and the noise, and three quarters of the rounds saw one.
    The noise is how far any other measurement with an empty setting, a control, was from the first.

    Parameters
    ----------
    measured : the first is the present setting; those that failed are never chosen
    least : the smallest gain that counts, 0.05 for 5 %
    """
    present, *others = measured
    if present.failure is not None:
        return Advice()
    sound = [entry for entry in others if entry.failure is None]
    controls = [entry for entry in sound if not entry.setting]
    apart = [abs(ratio - 1) for control in controls for ratio in overall(control, present)]
    noise = quartiles(apart)[1] if apart else 0.0
    bound = 1 + max(least, noise)
    gains = {}
    for number, entry in enumerate(sound):
        ratios = overall(entry, present)
        if entry.setting and median(ratios) > bound and quartiles(ratios)[0] > 1:
            gains[number] = median(ratios)
    if not gains:
        return Advice(noise=noise)
    close = [number for number, gain in gains.items() if gain > max(gains.values()) * (1 - ALIKE)]
    best = min(close, key=lambda number: (len(sound[number].setting), number))
    rounds = {case: by_round(sound[best], present, case) for case in present.rates}
    return Advice(
        setting=sound[best].setting,
        gain=gains[best],
        ratios={case: median(ratios) for case, ratios in rounds.items()},
        costs={
            case: median(ratios)
            for case, ratios in rounds.items()
            if median(ratios) < 1 - max(LEAST, noise) and quartiles(ratios)[1] < 1
        },
        noise=noise,
    )


def by_round(entry: Measurement, present: Measurement, case: str) -> list[float]:
    """Return the ratios of a setting's rates to the present ones in a case, round by round."""
    return [new / old for new, old in zip(entry.rates[case], present.rates[case], strict=True)]


def overall(entry: Measurement, present: Measurement) -> list[float]:
    """Return, round by round, the geometric mean of the ratios in all cases, those of batch 1 left out.

    A product with one row moves more memory than it computes; it is told of as a cost, and not gained by.
    """
    cases = [case for case in present.rates if not is_single(case)] or list(present.rates)
    rounds = zip(*(by_round(entry, present, case) for case in cases), strict=True)
    return [prod(ratios) ** (1 / len(ratios)) for ratios in rounds]


def is_single(case: str) -> bool:
    """Tell whether a case is one of batch 1, by its name."""
    return case.startswith("batch 1 ")


def quartiles(numbers: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile, of a single number itself."""
    if len(numbers) == 1:
        return numbers[0], numbers[0]
    lower, _, upper = quantiles(numbers, n=4, method="inclusive")
    return lower, upper
