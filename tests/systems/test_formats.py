"""Configs of older versions are read in the present form."""

from typing import Any

import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.systems.formats import CONFIG_FORMAT, current_config, portable_config

OLD: dict[str, Any] = {
    "representation": {"kind": "log_magnitude", "n_fft": 8, "griffin_lim_iterations": 5, "griffin_lim_momentum": 0.0},
    "features": {"a": {"kind": "vggish"}},
    "data": {"dir": "/here"},
}


def test_format_1_had_the_decoder_in_the_representation() -> None:
    current = current_config(OLD)
    assert current == {
        "format": CONFIG_FORMAT,
        "representation": {"kind": "log_magnitude", "n_fft": 8},
        "decoder": {"kind": "griffin_lim", "iterations": 5, "momentum": 0.0},
        "feature_networks": {"a": {"kind": "vggish"}},
        "data": {"dir": "/here"},
    }
    assert current_config(current) == current
    mel = {"kind": "log_mel", "vocoder": "vocoder.npz", "griffin_lim_iterations": 5}
    decoder = {"kind": "vocoder", "path": "vocoder.npz", "iterations": 5}
    assert current_config({"representation": mel})["decoder"] == decoder
    assert current_config({"representation": {"kind": "complex"}})["decoder"] == {}


def test_a_config_that_was_just_written_keeps_its_decoder() -> None:
    decoder = {"kind": "griffin_lim", "iterations": 7}
    assert current_config({"representation": {"kind": "log_magnitude"}, "decoder": decoder})["decoder"] == decoder


def test_settings_that_came_later_have_the_values_of_before() -> None:
    old = {"train": {"batch_size": 8}, "preparation": {"level": -1.0}, "task": {"kind": "gan", "critic_steps": 2}}
    current = current_config(old)
    assert current["train"] == {"batch_size": 8, "class_balance": 0.0, "source_balance": 0.0}
    assert current["preparation"] == {
        "level": -1.0,
        "validation_fraction": 0.0,
        "validation_sources": [],
        "hats": False,
        "tags": 0,
        "attributes": [],
    }
    added = {"label_weight": 1.0, "start_from": "", "independent_classes": False, "attributes": []}
    assert current["task"] == {"kind": "gan", "critic_steps": 2, **added}
    classifier = current_config({"task": {"kind": "classifier", "balanced": True}})
    assert classifier["task"] == {"kind": "classifier", "balanced": True, "attributes": [], "attribute_weight": 1.0}
    assert current_config({"task": {"kind": "vocoder"}})["task"] == {"kind": "vocoder"}
    new = {"train": {"class_balance": 1.0}, "task": {"kind": "gan", "label_weight": 0.5}}
    assert current_config(new)["train"]["class_balance"] == 1.0
    assert current_config(new)["task"]["label_weight"] == 0.5


def test_later_formats_are_refused_and_paths_of_a_machine_left_out() -> None:
    with pytest.raises(BadInput, match=f"format {CONFIG_FORMAT + 1}, and this version reads up to {CONFIG_FORMAT}"):
        current_config({"format": CONFIG_FORMAT + 1})
    portable = portable_config({**current_config(OLD), "decoder": {"kind": "vocoder", "path": "/here/v.npz"}})
    assert portable["decoder"] == {"kind": "vocoder", "path": ""}
    assert "data" not in portable
    begun = current_config({**OLD, "task": {"kind": "gan", "start_from": "/here/run"}})
    assert portable_config(begun)["task"]["start_from"] == ""
