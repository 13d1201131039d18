"""Principal components of a run's training data, from which a generator may start."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.data_augmentation import NoDataAugmentation
from drumgan_jax.core.keys import Purpose, run_keys
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.data.sampling import WeighedOrder, sampling_weights
from drumgan_jax.networks.anchored_mapping import deviates
from drumgan_jax.runs.settings import TrainSettings
from drumgan_jax.systems.attribute_regression import attribute_regression
from drumgan_jax.systems.gan import Gan
from drumgan_jax.systems.pca_gaussian import PcaGaussianSettings, fit_components, most_examples

SPLIT = "train"
_BATCH = 64
# Examples that the components are of, at most.
_EXAMPLES = 2_000


def components_of(
    gan: Gan,
    dataset: Dataset,
    label_names: Sequence[str],
    soft_labels: bool,
    settings: TrainSettings,
    seed: int,
    attributes: Sequence[int] = (),
) -> dict[str, np.ndarray]:
    """What a generator starts from (networks/frame_generator.py): components, and w of recordings, by name.

    Recordings are drawn as in training, by their weights, and changed as in training. If the data are augmented for
    reconstructions only, every second one is as it is, and the Gaussians are of these.

    Args:
        gan: the parts; its representation has the data set's statistics.
        dataset: the training data.
        label_names: classes that condition the generator; empty for none.
        soft_labels: whether classes are probabilities.
        settings: section `train`.
        seed: the run's.
        attributes: columns of the data set's attributes that condition the generator.

    Raises:
        BadInput: there are fewer recordings than components and one more, or a class has none.
    """
    fit = PcaGaussianSettings(kind="pca_gaussian", components=gan.generator.w_dim)
    recordings, most = dataset.num_examples(SPLIT), min(_EXAMPLES, most_examples(gan.representation))
    weights = sampling_weights(dataset, SPLIT, settings.class_balance, settings.source_balance)
    order = WeighedOrder(np.full(recordings, 1 / recordings) if weights is None else weights, seed)
    # More than once only what is drawn unequally, or changed each time.
    alike = weights is None and isinstance(gan.data_augmentation, NoDataAugmentation)
    items = [order[position] for position in range(min(most, recordings) if alike else most)]
    of_classes = ("soft_labels" if soft_labels else "labels",) if label_names else ()
    keys = ("waveforms", *of_classes, *(("attributes",) if attributes else ()))
    every = 2 if gan.data_augmentation.reconstructions_only else 1

    @jax.jit
    def examples_of(waveforms: jax.Array, labels: jax.Array, numbers: jax.Array) -> jax.Array:
        shown = gan.representation
        random = run_keys(seed, Purpose.DATA_AUGMENTATION, 0, numbers)
        changed = gan.data_augmentation(waveforms, shown.sample_rate, random, labels)
        if every == 2:
            changed = jnp.where((numbers % 2 == 0)[:, None], waveforms, changed)
        return shown.encode(changed).reshape(len(waveforms), -1)

    examples, labels, ranks = [], [], []
    for start in range(0, len(items), _BATCH):
        batch = [dataset.example(SPLIT, item, keys) for item in items[start : start + _BATCH]]
        waveforms = np.stack([one["waveforms"] for one in batch])
        of_batch = np.stack([one[keys[1]] if label_names else np.ones(1, np.float32) for one in batch])
        # One shape is compiled; what fills it has no class, so nothing is layered with it.
        filled = [np.pad(rows, ((0, _BATCH - len(batch)), (0, 0))) for rows in (waveforms, of_batch)]
        examples.append(np.asarray(examples_of(*filled, start + np.arange(_BATCH)))[: len(batch)])
        labels += list(of_batch)
        ranks += [one["attributes"][list(attributes)] for one in batch if attributes]
    flat, weights_of_classes = np.concatenate(examples), np.stack(labels)
    weights_of_classes[np.arange(len(flat)) % every != 0] = 0.0
    fitted = fit_components(flat, weights_of_classes, fit, "config.generator.z_dim and w_dim")
    found = {
        **fitted.arrays(),
        "lowest": flat.min(),
        "anchors": np.asarray(fitted.project(jnp.asarray(flat[::every]))),
        "anchor_classes": weights_of_classes[::every],
    }
    if not attributes:
        return found
    of_anchors = np.stack(ranks)[::every]
    regression = attribute_regression(
        found["anchors"], np.asarray(deviates(jnp.asarray(of_anchors))), found["anchor_classes"], fit.ridge
    )
    return {**found, **regression, "anchor_attributes": of_anchors}
