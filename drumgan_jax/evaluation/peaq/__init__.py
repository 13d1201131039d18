"""Perceptual quality of decoded sound: PEAQ, basic version (ITU-R BS.1387-1)."""

from drumgan_jax.evaluation.peaq.model import Peaq, peaq

__all__ = ["Peaq", "peaq"]
