"""Two models on the same images → whether their difference could be chance: exact McNemar test, Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence


def exact_mcnemar(only_a: int, only_b: int) -> float:
    """The two-sided p-value of the images that only one of two models gets right, were each as likely as the other.

    The exact binomial form of McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions", Psychometrika 12; 1 where the models never differ.

    >>> exact_mcnemar(1, 9)
    0.021484375
    >>> exact_mcnemar(0, 0)
    1.0
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    ways = tail = 1  # of drawing 0 from n, then of drawing up to `fewer`
    for drawn in range(1, fewer + 1):
        ways = ways * (n - drawn + 1) // drawn
        tail += ways
    return min(1.0, 2 * tail / 2**n) if n < 1000 else min(1.0, tail / (1 << (n - 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, in the order given.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected
