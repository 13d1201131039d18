"""The judge of classes: logistic regression on log-mel pictures of recordings. It is fitted, not trained.

    drumgan prepare --config=judge --audio=ONE_SHOTS --data_dir=data
    drumgan fit --config=judge --config.data.dir=data/judge --workdir=runs/judge
    drumgan evaluate --run=RUN --judge=runs/judge/judge.npz

It says whether a generator's classes are heard, so it has to be fitted to recordings that neither the generator nor the
labels of its training have seen. Any data set with classes will do. The packaged judge is described in
drumgan_jax/evaluation/quality/packaged.md.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults, pca_gaussian


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full or tiny."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """Kicks, snares and cymbals of 1.0 s at 44.1 kHz."""
    return _judge(pca_gaussian.packaged())


def tiny() -> ConfigDict:
    """0.5 s at 8 kHz, for tests."""
    return _judge(pca_gaussian.tiny())


def _judge(config: ConfigDict) -> ConfigDict:
    config.name = "judge"
    config.task = ConfigDict({"kind": "judge"})
    config.preparation.test_fraction = 0.0
    return config


VARIANTS = {
    "full": defaults.Variant(full, "a CPU, seconds", "0.899 of 168 held-out recordings (quality/packaged.md)"),
    "tiny": defaults.Variant(tiny, "a CPU, seconds"),
}
