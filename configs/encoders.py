"""Settings shared by the configs of encoders.

(P) marks a value from a paper, (O) one of ours.
"""

from ml_collections import ConfigDict


def encoder(system: ConfigDict) -> ConfigDict:
    """Sections of an encoder for the generator and data of a system; the caller fills in `encoder` and others."""
    return ConfigDict(
        {
            "name": f"{system.name}_encoder",
            "seed": 0,
            **{name: system[name].to_dict() for name in ("representation", "decoder", "slicing", "preparation")},
            "encoder": {},
            "optimizer": {"encoder": {"learning_rate": 1e-4, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}},  # P, O
            "task": {
                "kind": "encoder",
                "run": "",  # the run directory of the generator
                "step": "last",  # its checkpoint: last, best or a number
                "num_latents": 0,  # number of different z, used in turn; 0 never repeats one
                "latent_weight": 1.0,  # of the error in w
                "spectral_weight": 0.0,  # of the error in views of the sounds rendered from w; 0 renders none
                "recording_weight": 0.0,  # P; of the same error of the data set's recordings
            },
            "train": {
                "batch_size": 32,
                "total_images": 1_000_000,
                "accumulation": 1,
                "compute_dtype": "float32",  # the encoder's; the generator has its run's
                "ema_half_life_images": 10_000,  # O
                "ema_rampup": 0.05,  # O
                "host_timeout": 30.0,
            },
            "data": {"dir": "", "prefetch": 2},  # labels condition the sounds; test sounds are used in evaluation
            "mesh": {"data": -1, "fsdp": 1},
            "logging": {"every": 50, "samples_every": 2_000, "num_samples": 16},  # each sound, then its reconstruction
            "checkpoint": {"every": 1_000, "keep": 2},
            "evaluation": {"every": 1_000, "num_samples": 512, "patience": 0, "metric": "latent/mse"},
        }
    )


def make_tiny(config: ConfigDict) -> None:
    """Shorten training, logging and evaluation to seconds, in place."""
    config.train.update(batch_size=8, total_images=96, ema_half_life_images=100)
    config.logging.update(every=4, samples_every=12, num_samples=4)
    config.checkpoint.every = 6
    config.evaluation.update(every=6, num_samples=16)
