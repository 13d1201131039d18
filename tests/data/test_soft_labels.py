"""Soft labels: what is written is read, and only for the records and classes that it was written for."""

import dataclasses
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds
from scipy.special import softmax
from training_cases import LABELS, write_dataset

from drumgan_jax.audio.files import resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.batches import batches
from drumgan_jax.data.dataset import Dataset, open_dataset
from drumgan_jax.data.digests import write_digests
from drumgan_jax.data.labelling import check_replaceable, label_dataset, summary
from drumgan_jax.data.soft_labels import FILE_NAME, SoftLabels, read_soft_labels, write_soft_labels
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.embedders.classifier import from_classifier
from drumgan_jax.runs.load import open_classifier
from drumgan_jax.systems.classifier import Classifier, build_classifier

COUNT = 12
REPRESENTATION = {"kind": "waveform", "sample_rate": 8000, "num_samples": 300}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return open_dataset(write_dataset(tmp_path, COUNT, representation=REPRESENTATION))


def without_classes(dataset: Dataset) -> Dataset:
    """The same data set, prepared without classes."""
    features = {name: feature for name, feature in dataset.features.items() if name != "label"}
    tfds.features.FeaturesDict(features).save_config(os.fspath(dataset.directory))
    write_digests(dataset.directory)
    return open_dataset(dataset.directory)


def toy(names: tuple[str, ...], num_samples: int = 128) -> tuple[Classifier, Embedder]:
    config = {
        "representation": {"kind": "waveform", "sample_rate": 4000, "num_samples": num_samples},
        "front_end": {"n_fft": 64, "hop_length": 32, "num_mels": 8},
        "network": {"kind": "short_chunk", "channels": 2, "blocks": (1,)},
    }
    classifier = build_classifier(config, names)
    variables = jax.tree.map(np.asarray, classifier.init(jax.random.key(0)))
    return classifier, from_classifier(classifier, variables, "toy", "0123456789abcdef")


def some_labels(dataset: Dataset, names: tuple[str, ...] = LABELS) -> SoftLabels:
    rows = np.random.default_rng(0).dirichlet(np.ones(len(names)), COUNT).astype(np.float32)
    return SoftLabels(names, "toy@01234567", {"train": rows}, {"train": dataset.fingerprint("train", COUNT)})


@pytest.mark.smoke
def test_what_is_written_is_read_and_batched(dataset: Dataset) -> None:
    written = some_labels(dataset)
    path = write_soft_labels(dataset.directory, written)
    assert path == dataset.directory / FILE_NAME
    read = read_soft_labels(dataset.directory)
    assert (read.names, read.classifier, read.fingerprints) == (written.names, "toy@01234567", written.fingerprints)
    np.testing.assert_array_equal(dataset.soft_labels("train"), written.splits["train"])
    batch = next(batches(dataset, "train", ("soft_labels", "labels", "waveforms"), COUNT, 0, 0))
    stored = [dataset.example("train", item, ("waveforms", "soft_labels", "labels")) for item in range(COUNT)]
    for row in range(COUNT):
        # Rows of a batch belong together: the soft labels are those of the record whose waveform it has.
        (item,) = [i for i, one in enumerate(stored) if np.array_equal(one["waveforms"], batch["waveforms"][row])]
        np.testing.assert_array_equal(batch["soft_labels"][row], written.splits["train"][item])
        np.testing.assert_array_equal(batch["labels"][row], stored[item]["labels"])
    order = np.random.default_rng(0).permutation(COUNT)[:5]
    np.testing.assert_array_equal(dataset.labels("train", 5, "soft_labels"), written.splits["train"][order])
    assert set(next(batches(dataset, "train", ("soft_labels",), 4, 0, 0))) == {"soft_labels"}


def test_labels_of_an_earlier_version_have_no_digest(dataset: Dataset) -> None:
    written = some_labels(dataset)
    path = write_soft_labels(dataset.directory, written)
    with np.load(path) as file:
        np.savez(path, **{name: array for name, array in file.items() if name != "digest"})
    np.testing.assert_array_equal(dataset.soft_labels("train"), written.splits["train"])


def test_probabilities_are_the_classifiers_of_the_sounds_beginnings(dataset: Dataset) -> None:
    # Two classes more than the data set has, in another order.
    names = ("hat", "bell", "kick", "snare", "clap")
    classifier, embedder = toy(names)
    labels = label_dataset(dataset, embedder)
    assert labels.names == LABELS
    assert labels.classifier == "toy@01234567"
    sounds = [dataset.example("train", item, ("waveforms",))["waveforms"] for item in range(COUNT)]
    windows = np.stack([resample(sound, 8000, 4000)[:128] for sound in sounds])
    logits, _ = classifier.predict(embedder.variables, jnp.asarray(windows))
    known = softmax(np.asarray(logits, np.float64), axis=1)[:, [names.index(name) for name in LABELS]]
    np.testing.assert_allclose(labels.splits["train"], known / known.sum(axis=1, keepdims=True), atol=1e-5)
    # A longer window is filled up, and a data set without classes takes the classifier's.
    labels = label_dataset(without_classes(dataset), toy(names, 200)[1])
    assert labels.names == names
    assert labels.splits["train"].shape == (COUNT, 5)


def test_a_data_set_without_classes_takes_those_of_its_soft_labels(dataset: Dataset) -> None:
    bare = without_classes(dataset)
    assert not bare.has_labels
    assert bare.label_names == ()
    with pytest.raises(BadInput, match="have no classes of their own"):
        bare.labels("train", 2)
    write_soft_labels(dataset.directory, some_labels(dataset, ("a", "b")))
    assert open_dataset(dataset.directory).label_names == ("a", "b")


def test_summary_against_numpy(dataset: Dataset) -> None:
    labels = some_labels(dataset)
    report = summary(dataset, labels)
    rows = labels.splits["train"].astype(np.float64)
    own = [dataset.example("train", item, ("labels",))["labels"].argmax() for item in range(COUNT)]
    assert report["count"] == COUNT
    assert report["entropy"] == pytest.approx(-np.mean(np.sum(rows * np.log(rows), axis=1)))
    assert report["agreement"] == pytest.approx(np.mean(rows.argmax(axis=1) == own))
    for place, name in enumerate(LABELS):
        one, of_class = report["classes"][name], np.asarray(own) == place
        assert one["mean"] == pytest.approx(rows[:, place].mean())
        assert (one["most"], one["examples"]) == (np.sum(rows.argmax(axis=1) == place), of_class.sum())
        assert one["agreement"] == pytest.approx(np.mean(rows[of_class].argmax(axis=1) == place))
    assert "agreement" not in summary(without_classes(dataset), labels)


def test_what_does_not_fit_is_one_sentence(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no soft labels; run drumgan label first"):
        next(batches(dataset, "train", ("x", "soft_labels"), 4, 0, 0))
    with pytest.raises(BadInput, match="has the classes kick, snare, hat, but toy@01234567 has kick, snare; give"):
        label_dataset(dataset, toy(("kick", "snare"))[1])
    labels = some_labels(dataset)
    write_soft_labels(dataset.directory, dataclasses.replace(labels, names=("kick", "hat", "snare")))
    with pytest.raises(BadInput, match="are for kick, hat, snare, but its classes are kick, snare, hat"):
        dataset.soft_labels("train")
    write_soft_labels(dataset.directory, dataclasses.replace(labels, fingerprints={"train": "0" * 64}))
    with pytest.raises(BadInput, match="do not match the current records of its split 'train'"):
        dataset.soft_labels("train")
    _, other = toy(LABELS)
    check_replaceable(dataset, other, overwrite=False)
    other = dataclasses.replace(other, name="other@01234567")
    with pytest.raises(
        BadInput, match="from toy@01234567, a different classifier than other@01234567; add --overwrite"
    ):
        check_replaceable(dataset, other, overwrite=False)
    check_replaceable(dataset, other, overwrite=True)
    with pytest.raises(BadInput, match=r"cannot be opened .*; give a classifier's \.npz"):
        open_classifier(str(tmp_path / "nothing.npz"))


def test_the_packaged_classifier_is_known_by_its_weights() -> None:
    packaged = open_classifier("drums")
    assert packaged.name == f"drums@{packaged.weights_hash[:8]}"
    assert packaged.classes == ("kick", "snare", "cymbal")


@pytest.mark.parametrize("damage", ["cut", "text", "rows", "missing", "edited"])
def test_damaged_files_are_one_sentence(dataset: Dataset, damage: str) -> None:
    labels = some_labels(dataset)
    path = write_soft_labels(dataset.directory, labels)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "text":
        path.write_text("soft")
    elif damage == "rows":
        write_soft_labels(dataset.directory, dataclasses.replace(labels, splits={"train": 2 * labels.splits["train"]}))
    elif damage == "edited":
        with np.load(path) as file:
            arrays = dict(file)
        np.savez(path, **{**arrays, "train": arrays["train"][::-1]})
    else:
        np.savez(path, names=np.asarray(LABELS))
    with pytest.raises(BadInput, match=r"soft_labels\.npz is damaged .*; delete it and run drumgan label again"):
        read_soft_labels(dataset.directory)
