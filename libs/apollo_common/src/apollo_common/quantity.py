"""Quantities of a resource as Kubernetes writes them: 500m, 2, 1.5Gi.

The grammar is that of https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/.
"""

import re
from fractions import Fraction
from typing import Final

_FACTORS: Final[dict[str, Fraction]] = {
    "": Fraction(1),
    **{suffix: Fraction(10) ** (3 * power) for power, suffix in enumerate(("n", "u", "m"), -3)},
    **{suffix: Fraction(10) ** (3 * power) for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Fraction(2) ** (10 * power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
_QUANTITY: Final = re.compile(r"(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(?:[eE]([+-]?\d{1,2})|([a-zA-Z]{0,2}))", re.ASCII)


def parse_quantity(text: str) -> Fraction | None:
    """In whole units (cores, bytes); None for what is no quantity. Negative ones are none here."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    factor = Fraction(10) ** int(exponent) if exponent is not None else _FACTORS.get(suffix)
    return None if factor is None else Fraction(number) * factor
