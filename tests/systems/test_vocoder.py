"""A vocoder's file, and whether it fits a representation."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from vocoder_cases import CARD, NETWORK, REPRESENTATION, SECTIONS, make_vocoder, write_vocoder
from weight_cases import changed

from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core.errors import BadInput
from drumgan_jax.systems.vocoder import (
    TrainedVocoder,
    build_vocoder,
    check_fits,
    read_vocoder,
    save_vocoder,
)

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def trained() -> TrainedVocoder:
    return make_vocoder()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_vocoder(tmp_path / "toy.npz")


def test_each_setting_of_the_mel_scale_that_differs_is_named(trained: TrainedVocoder) -> None:
    vocoder = trained.vocoder
    fitting = {**REPRESENTATION, "num_frames": 40, "mean": 0.0, "std": 1.0, "win_length": 64, "fmax": 4000.0}
    check_fits(build_representation(fitting), vocoder, "toy")
    changes: dict[str, Any] = {
        "sample_rate": 16000,
        "n_fft": 128,
        "hop_length": 8,
        "num_mels": 6,
        "fmin": 100.0,
        "fmax": 3000.0,
        "floor": 1e-4,
        "win_length": 32,
    }
    for name, value in changes.items():
        statistics = {"mean": None, "std": None}
        other = build_representation({**REPRESENTATION, **statistics, "num_frames": 32, name: value})
        with pytest.raises(BadInput, match=rf"toy is a vocoder of another mel scale .*{name}: {value} against"):
            check_fits(other, vocoder, "toy")
    both = build_representation({**REPRESENTATION, "hop_length": 8, "floor": 1e-4, "num_frames": 32})
    with pytest.raises(BadInput, match=r"hop_length: 8 against 16, floor: 0\.0001 against 1e-05; train a vocoder"):
        check_fits(both, vocoder, "toy")
    spectra = {"kind": "log_magnitude", "sample_rate": 8000, "n_fft": 64, "hop_length": 16, "num_frames": 16}
    with pytest.raises(BadInput, match="toy is a vocoder of mel bands, but this representation has none"):
        check_fits(build_representation(spectra), vocoder, "toy")


def test_what_is_written_is_read(trained: TrainedVocoder, path: Path, tmp_path: Path) -> None:
    loaded = read_vocoder(path)
    assert loaded.vocoder == trained.vocoder
    assert loaded.card == CARD
    for a, b in zip(jax.tree.leaves(loaded.variables), jax.tree.leaves(trained.variables), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    # What was halved is halved no further.
    save_vocoder(tmp_path / "again.npz", loaded)
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_the_other_network_is_kept_too(tmp_path: Path) -> None:
    section = {
        "kind": "hifigan",
        "ratios": [4, 4],
        "width": 4,
        "kernels": [3],
        "dilations": [[1, 2]],
        "shallow": True,
    }
    vocoder = build_vocoder({"representation": REPRESENTATION, "vocoder": section})
    shapes = jax.eval_shape(vocoder.init, KEY)
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)
    save_vocoder(tmp_path / "other.npz", TrainedVocoder(vocoder, ones, {}))
    assert read_vocoder(tmp_path / "other.npz").vocoder == vocoder


@pytest.mark.parametrize(
    ("section", "values", "match"),
    [
        ("representation", {"kind": "waveform"}, "config.representation has no setting"),
        ("vocoder", {"kind": "other"}, "config.vocoder.kind is 'other'; it must be one of hifigan, melgan"),
        ("vocoder", {"depth": 3}, "config.vocoder has no setting depth"),
        (
            "vocoder",
            {"ratios": [4, 2]},
            r"ratios are \(4, 2\) with product 8; it must equal .*hop_length, which is 16",
        ),
        ("vocoder", {"ratios": "ab"}, "config.vocoder.ratios is 'ab'; it must be a tuple of whole"),
        ("vocoder", {"ratios": [-4, -4]}, r"config\.vocoder\.ratios is \(-4, -4\); it must be a tuple of whole"),
        ("vocoder", {"width": 0}, "config.vocoder.width is 0; it must be a whole number"),
        ("vocoder", {"width": 2.5}, "config.vocoder.width is 2.5; it must be a whole number"),
        ("vocoder", {"residual_blocks": -1}, r"config\.vocoder\.residual_blocks is -1; it must be a whole number"),
        ("vocoder", {"residual_blocks": 1.5}, r"config\.vocoder\.residual_blocks is 1\.5; it must be a whole number"),
    ],
)
def test_values_out_of_range_are_one_sentence(section: str, values: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        build_vocoder({**SECTIONS, section: {**SECTIONS[section], **values}})


@pytest.mark.parametrize(
    ("dilations", "match"),
    [
        ([[]], r"config\.vocoder\.dilations has an empty block; give each block one dilation or more"),
        (3, "config.vocoder cannot be built with these values"),
        ([3], "config.vocoder cannot be built with these values"),
    ],
)
def test_blocks_without_dilations_are_one_sentence(dilations: Any, match: str) -> None:
    section = {"kind": "hifigan", "ratios": [4, 4], "width": 4, "kernels": [3], "dilations": dilations}
    with pytest.raises(BadInput, match=match):
        build_vocoder({"representation": REPRESENTATION, "vocoder": section})


def test_configs_of_something_else_are_one_sentence() -> None:
    with pytest.raises(BadInput, match="has no section vocoder; add it"):
        build_vocoder({"representation": REPRESENTATION})
    waveform = {"kind": "waveform", "sample_rate": 8000, "num_samples": 64}
    with pytest.raises(BadInput, match="kind is 'waveform'; a vocoder takes log_mel"):
        build_vocoder({"representation": waveform, "vocoder": NETWORK})


def test_files_that_are_no_vocoder_are_refused(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "odd.npz"
    out.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadInput, match=r"odd.npz is not a vocoder's file, or is damaged"):
        read_vocoder(out)
    with pytest.raises(BadInput, match="cannot be opened"):
        read_vocoder(tmp_path / "absent.npz")
    for header, arrays, match in (
        ({"format": "drumgan classifier 1"}, {}, "the file of a drumgan classifier; give that of a drumgan vocoder"),
        ({"card": 3}, {}, "is not a vocoder's file"),
        ({"vocoder": {"kind": "other"}}, {}, "odd.npz does not fit this version: config.vocoder.kind is 'other'"),
        ({"vocoder": {**NETWORK, "width": 4}}, {}, "but the network has"),
        ({}, {"params__model.1__bias": None}, "differ in params/model.1/bias"),
        ({}, {"params__model.1__bias": np.full(8, np.nan, np.float16)}, "holds NaN"),
    ):
        with pytest.raises(BadInput, match=match):
            read_vocoder(changed(path, out, header, **arrays))


def test_weights_that_are_not_finite_are_not_written(trained: TrainedVocoder, tmp_path: Path) -> None:
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), trained.variables)
    with pytest.raises(BadInput, match="holds NaN or infinite values"):
        save_vocoder(tmp_path / "broken.npz", trained._replace(variables=broken))
    with pytest.raises(BadInput, match="must end in"):
        save_vocoder(tmp_path / "toy.bin", trained)
    assert not list(tmp_path.iterdir())
