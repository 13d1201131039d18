"""Perceived quality of decoded sound: PEAQ, the basic version of ITU-R BS.1387-1."""

from drumgan_jax.evaluation.peaq.model import Peaq, peaq

__all__ = ["Peaq", "peaq"]
