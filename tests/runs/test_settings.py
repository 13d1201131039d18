"""Every section is checked, and what is wrong is named."""

import pytest
from training_cases import tiny_config

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import read_section, read_seed
from drumgan_jax.runs import settings

SECTIONS = {
    "train": settings.TrainSettings,
    "data": settings.DataSettings,
    "logging": settings.LoggingSettings,
    "checkpoint": settings.CheckpointSettings,
    "evaluation": settings.EvaluationSettings,
    "optimizer.generator": settings.AdamSettings,
}


@pytest.mark.smoke
def test_sections_are_read(tmp_path):
    config = tiny_config(tmp_path)
    assert read_section(config, "train", settings.TrainSettings).total_steps == 8
    assert read_section(config, "optimizer.generator", settings.AdamSettings).beta2 == 0.99
    assert read_seed(config) == 3


@pytest.mark.parametrize(
    ("section", "name", "value", "match"),
    [
        ("train", "batch_size", 0, r"config\.train\.batch_size is 0; it must be a whole number of at least 1"),
        ("train", "batch_size", 2.5, r"config\.train\.batch_size is 2\.5"),
        ("train", "batch_size", "8", r"config\.train\.batch_size is '8'"),
        ("train", "accumulation", 3, r"batch_size is 8, which config\.train\.accumulation \(3\) does not divide"),
        ("train", "ema_half_life_images", -1, r"config\.train\.ema_half_life_images is -1"),
        ("train", "ema_half_life_images", float("nan"), r"config\.train\.ema_half_life_images is nan"),
        ("train", "ema_rampup", 0.0, r"config\.train\.ema_rampup is 0\.0; it must be a number above 0"),
        ("data", "dir", "", r"config\.data\.dir is empty"),
        ("data", "prefetch", 0, r"config\.data\.prefetch is 0"),
        ("logging", "every", 0, r"config\.logging\.every is 0"),
        ("logging", "samples_every", -1, r"config\.logging\.samples_every is -1"),
        ("checkpoint", "keep", 0, r"config\.checkpoint\.keep is 0"),
        ("evaluation", "patience", -1, r"config\.evaluation\.patience is -1"),
        ("evaluation", "num_samples", True, r"config\.evaluation\.num_samples is True"),
        ("optimizer.generator", "learning_rate", 0.0, r"config\.optimizer\.generator\.learning_rate is 0\.0"),
        ("optimizer.generator", "beta1", 1.0, r"config\.optimizer\.generator\.beta1 is 1\.0; it must be below 1"),
        ("optimizer.generator", "beta2", -0.1, r"config\.optimizer\.generator\.beta2 is -0\.1"),
        ("optimizer.generator", "momentum", 0.9, r"config\.optimizer\.generator has no setting momentum; it has"),
    ],
)
def test_unfit_values_are_named(tmp_path, section, name, value, match):
    config = tiny_config(tmp_path).to_dict()
    part = config
    for key in section.split("."):
        part = part[key]
    part[name] = value
    with pytest.raises(BadInput, match=match):
        read_section(config, section, SECTIONS[section])


def test_missing_sections_and_unfit_seeds(tmp_path):
    config = tiny_config(tmp_path).to_dict()
    del config["optimizer"]["generator"]
    with pytest.raises(BadInput, match=r"the config has no section optimizer\.generator"):
        read_section(config, "optimizer.generator", settings.AdamSettings)
    for seed in (-1, 2**31, 0.5, True):
        with pytest.raises(BadInput, match=r"config\.seed is "):
            read_seed({"seed": seed})
