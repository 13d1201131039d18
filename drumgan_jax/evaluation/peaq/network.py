"""PEAQ's neural network from eleven model output variables to a grade (BS.1387-1, annex 2, section 6)."""

from collections.abc import Mapping

import numpy as np

# For each variable, in the network's order: the values scaled to 0 and 1, and the weights to the three hidden nodes
# (BS.1387-1, annex 2, section 6.2).
_TABLE: dict[str, tuple[float, float, float, float, float]] = {
    "BandwidthRefB": (393.916656, 921.0, -0.502657, 0.436333, 1.219602),
    "BandwidthTestB": (361.965332, 881.131226, 4.307481, 3.246017, 1.123743),
    "TotalNMRB": (-24.045116, 16.212030, 4.984241, -2.211189, -0.192096),
    "WinModDiff1B": (1.110661, 107.137772, 0.051056, -1.762424, 4.331315),
    "ADBB": (-0.206623, 2.886017, 2.321580, 1.789971, -0.754560),
    "EHSB": (0.074318, 13.933351, -5.303901, -3.452257, -10.814982),
    "AvgModDiff1B": (1.113683, 63.257874, 2.730991, -6.111805, 1.519223),
    "AvgModDiff2B": (0.950345, 1145.018555, 0.624950, -1.331523, -5.955151),
    "RmsNoiseLoudB": (0.029985, 14.819740, 3.102889, 0.871260, -5.922878),
    "MFPDB": (0.000101, 1.0, -1.051468, -0.939882, -0.142913),
    "RelDistFramesB": (0.0, 1.0, -1.804679, -0.503610, -0.620456),
}
_HIDDEN_BIAS = np.array([-2.518254, 0.654841, -2.207228])
_OUTPUT_WEIGHTS = np.array([-3.817048, 4.107138, 4.629582])
_OUTPUT_BIAS = -0.307594
_WORST, _BEST = -3.98, 0.22

VARIABLES = tuple(_TABLE)
LOWEST = {name: row[0] for name, row in _TABLE.items()}
HIGHEST = {name: row[1] for name, row in _TABLE.items()}


def grade(variables: Mapping[str, float]) -> tuple[float, float]:
    """Distortion index and objective difference grade from the eleven variables, which are not clipped to their range.

    Returns:
        The index (higher is better), and its grade: from -3.98, very annoying, to 0.22, imperceptible.
    """
    values = np.array([variables[name] for name in VARIABLES])
    lowest, highest, *weights = np.array(list(_TABLE.values())).T
    hidden = _sigmoid(_HIDDEN_BIAS + np.array(weights) @ ((values - lowest) / (highest - lowest)))
    index = _OUTPUT_BIAS + _OUTPUT_WEIGHTS @ hidden
    return float(index), grade_of_index(float(index))


def grade_of_index(index: float) -> float:
    """Objective difference grade of a distortion index."""
    return float(_WORST + (_BEST - _WORST) * _sigmoid(np.array(index)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    # Unlike the exponential, tanh cannot overflow.
    return 0.5 + 0.5 * np.tanh(x / 2)
