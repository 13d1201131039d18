"""The classifier's config: every section of every variant becomes its part."""

from typing import Any

import jax
import pytest

from drumgan_jax.configs import drum_classifier
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.core.settings import read_section
from drumgan_jax.data_pipelines.conditioning import build_preparation
from drumgan_jax.data_pipelines.slicing import build_slicing
from drumgan_jax.runs.settings import CheckpointSettings, EvaluationSettings, LoggingSettings
from drumgan_jax.training.tasks import build_task

# The variant, the bands that its network sees, and the bounds of its parameters in thousands.
VARIANTS = {"full": ((128, 48, 1), 1500, 2500), "small": ((128, 48, 1), 100, 150), "tiny": ((32, 33, 1), 5, 15)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_section_becomes_its_part(variant: str) -> None:
    config = drum_classifier.get_config(variant)
    shape, least, most = VARIANTS[variant]
    values: dict[str, Any] = {**config.to_dict(), "labels": list(config.preparation.labels)}
    task: Any = build_task(values, make_mesh())
    assert task.classifier.front_end.shape == shape
    assert least < sum(leaf.size for leaf in jax.tree.leaves(task.shapes.ema["params"])) / 1000 < most
    build_slicing(config.slicing)
    assert build_preparation(config.preparation).labels == ("kick", "snare", "cymbal")
    for section in (LoggingSettings, CheckpointSettings, EvaluationSettings):
        read_section(values, section.__name__.removesuffix("Settings").lower(), section)


def test_unknown_variants_are_told() -> None:
    with pytest.raises(ValueError, match="there is no variant 'huge'"):
        drum_classifier.get_config("huge")
