"""A vocoder's file, whether it fits a representation, and a representation that sounds by it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from vocoder_cases import CARD, NETWORK, RATE, REPRESENTATION, SECTIONS, make_vocoder, write_vocoder

from drumgan_jax.audio.mel import mel_filterbank
from drumgan_jax.audio.representations import build_representation, decode, differences, settings_of
from drumgan_jax.audio.spectrograms import LogMel
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.systems.vocoder import (
    TrainedVocoder,
    build_vocoder,
    by_itself,
    check_fits,
    read_vocoder,
    save_vocoder,
    vocoded,
)

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def trained() -> TrainedVocoder:
    return make_vocoder()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_vocoder(tmp_path / "toy.npz")


def sounds(count: int = 2, samples: int = 256) -> np.ndarray:
    return 0.3 * np.random.default_rng(0).standard_normal((count, samples)).astype(np.float32)


@pytest.mark.smoke
def test_a_representation_sounds_by_a_vocoder_with_statistics_of_its_own(trained: TrainedVocoder) -> None:
    other = build_representation({**REPRESENTATION, "mean": -1.5, "std": 2.0})
    shown = vocoded(other, trained, "toy")
    assert isinstance(shown, LogMel)
    assert shown.keeps_phase
    assert shown.shape == (8, 16, 1)
    x = other.encode(jnp.asarray(sounds()))
    np.testing.assert_array_equal(shown.encode(jnp.asarray(sounds())), x)
    # The networks' x, its own statistics undone, then as the vocoder learned to hear it.
    features = np.float64(x) * 2.0 - 1.5
    mean, std = (np.asarray(REPRESENTATION[name]).reshape(8, 1, 1) for name in ("mean", "std"))
    heard = jnp.asarray((features - mean) / std, jnp.float32)
    wanted = trained.vocoder.network.apply(trained.variables, heard)
    found = decode(shown, x, KEY)
    assert found.shape == (2, 256)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.std(found) > 1e-3
    # Phases are not drawn.
    np.testing.assert_array_equal(found, decode(shown, x, jax.random.key(1)))
    with pytest.raises(BadInput, match="takes"):
        shown.decode(x[:, :, :8], KEY)


def test_what_lies_below_the_floor_is_heard_as_the_floor(trained: TrainedVocoder) -> None:
    shown = vocoded(build_representation(REPRESENTATION), trained, "toy")
    x = np.array(shown.encode(jnp.asarray(sounds())))
    lowest = np.array(shown.encode(jnp.zeros((2, 256))))
    x[:, 3:] = lowest[:, 3:]
    below = x.copy()
    below[:, 3:] -= 3.0
    found = decode(shown, x, KEY)
    np.testing.assert_allclose(decode(shown, below, KEY), found, atol=1e-5)
    assert np.std(found) > 1e-3
    # Frames with nothing above it are silent.
    x[:, :, 5:9] = lowest[:, :, 5:9] - 0.5
    found = np.asarray(decode(shown, x, KEY)).reshape(2, 16, 16)
    assert not found[:, 5:9].any()
    assert found[:, [4, 9]].any(axis=(0, 2)).all()
    assert not np.asarray(decode(shown, lowest, KEY)).any()


def test_what_lies_above_any_waveform_is_heard_as_the_loudest(trained: TrainedVocoder) -> None:
    inner = build_representation(REPRESENTATION)
    shown = vocoded(inner, trained, "toy")
    loudest = np.log10(np.hanning(65)[:-1].sum() * mel_filterbank(RATE, 64, 8, 0.0, RATE / 2).sum(axis=1))
    tones = np.sin(2 * np.pi * np.arange(256) * np.array([[500.0], [2000.0]]) / RATE).astype(np.float32)
    assert np.all(inner.transform(jnp.asarray(tones)).max(axis=(0, 2, 3)) < loudest)
    x = np.array(shown.encode(jnp.asarray(sounds())))
    x[:, 3:] = np.asarray(inner.normalize(jnp.asarray(loudest, jnp.float32)[:, None, None]))[3:]
    above = x.copy()
    above[:, 3:] += 5.0
    found = decode(shown, x, KEY)
    np.testing.assert_allclose(decode(shown, above, KEY), found, atol=1e-5)
    softer = x.copy()
    softer[:, 3:] -= 0.1
    assert np.abs(decode(shown, softer, KEY) - found).max() > 1e-3


def test_what_is_heard_is_multiplied_with_all_bits(trained: TrainedVocoder) -> None:
    shown = vocoded(build_representation(REPRESENTATION), trained, "toy")
    x = shown.encode(jnp.asarray(sounds()))
    assert "HIGHEST" in str(jax.make_jaxpr(lambda x: shown.decode(x, KEY))(x))
    assert "HIGHEST" not in str(jax.make_jaxpr(trained.vocoder.synthesize)(trained.variables, x))


def test_equal_vocoders_are_one_static_argument_and_others_another(trained: TrainedVocoder) -> None:
    inner = build_representation(REPRESENTATION)
    one, same, other = (vocoded(inner, vocoder, "toy") for vocoder in (trained, make_vocoder(0), make_vocoder(1)))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != inner
    assert by_itself(one) == inner
    assert by_itself(inner) is inner
    x = inner.encode(jnp.asarray(sounds()))
    assert not np.allclose(decode(one, x, KEY), decode(other, x, KEY))
    # A data set and statistics see the mel scale alone.
    assert differences(one, inner) == []
    assert settings_of(one) == settings_of(inner)
    assert settings_of(inner.with_normalization(0.0, 1.0))["vocoder"] == ""
    assert one.with_normalization(0.0, 2.0).digest == one.digest
    named = dataclasses.replace(inner, vocoder="runs/other")
    assert differences(named, inner) == []
    assert settings_of(named)["vocoder"] == "runs/other"


def test_weights_are_constants_of_a_program_on_four_devices(trained: TrainedVocoder) -> None:
    shown = vocoded(build_representation(REPRESENTATION), trained, "toy")
    rows = NamedSharding(make_mesh(), PartitionSpec(("data", "fsdp")))
    x = np.asarray(shown.encode(jnp.asarray(sounds(4))))
    found = jax.jit(lambda x: shown.decode(x, KEY), in_shardings=rows, out_shardings=rows)(x)
    assert len(found.sharding.device_set) == 4
    np.testing.assert_allclose(found, decode(shown, x, KEY), atol=1e-6)
    one = jax.vmap(lambda x: shown.decode(x[None], KEY)[0])(x)
    np.testing.assert_allclose(one, found, atol=1e-6)


def test_sounds_can_be_differentiated(trained: TrainedVocoder) -> None:
    shown = vocoded(build_representation(REPRESENTATION), trained, "toy")
    x = shown.encode(jnp.asarray(sounds(1)))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.square(shown.decode(x, KEY)))))(x)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


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
    with pytest.raises(BadInput, match=r"hop_length: 8 against 16, floor: 0\.0001 against 1e-05; train one"):
        check_fits(both, vocoder, "toy")
    spectra = {"kind": "log_magnitude", "sample_rate": 8000, "n_fft": 64, "hop_length": 16, "num_frames": 16}
    with pytest.raises(BadInput, match="toy is a vocoder of mel bands, and this representation has none"):
        vocoded(build_representation(spectra), trained, "toy")


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
            r"ratios are \(4, 2\), which make 8 samples .*hop_length is 16; their product",
        ),
        ("vocoder", {"ratios": "ab"}, "config.vocoder cannot be built with these values"),
        ("vocoder", {"ratios": [-4, -4]}, "config.vocoder cannot be built with these values"),
        ("vocoder", {"width": 0}, "config.vocoder cannot be built with these values"),
        ("vocoder", {"width": 2.5}, "config.vocoder cannot be built with these values"),
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
    with pytest.raises(BadInput, match=r"representation\.vocoder is 3; give a run directory or a file"):
        build_representation({**REPRESENTATION, "vocoder": 3})


def changed(path: Path, out: Path, header: dict[str, Any], **arrays: np.ndarray | None) -> Path:
    """The file at `path` with another header or other arrays; None takes one away."""
    with np.load(path) as file:
        everything = {name: file[name] for name in file.files} | {k.replace("__", "/"): v for k, v in arrays.items()}
    old = json.loads(everything["header"].tobytes())
    everything["header"] = np.frombuffer(json.dumps(old | header).encode(), np.uint8)
    np.savez(out, **{name: value for name, value in everything.items() if value is not None})
    return out


def test_files_that_are_no_vocoder_are_refused(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "odd.npz"
    out.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadInput, match=r"odd.npz is no vocoder's file, or is damaged"):
        read_vocoder(out)
    with pytest.raises(BadInput, match="cannot be opened"):
        read_vocoder(tmp_path / "absent.npz")
    for header, arrays, match in (
        ({"format": "drumgan classifier 1"}, {}, "the file of a drumgan classifier; give that of a drumgan vocoder"),
        ({"card": 3}, {}, "is no vocoder's file"),
        ({"vocoder": {"kind": "other"}}, {}, "odd.npz does not fit this version: config.vocoder.kind is 'other'"),
        ({"vocoder": {**NETWORK, "width": 4}}, {}, "where the network has"),
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
