"""What the configs of encoders share.

(P) marks a value of a paper, (O) one of ours.
"""

from ml_collections import ConfigDict


def encoder(system: ConfigDict) -> ConfigDict:
    """The sections of an encoder for the generator of a system, whose data it takes; its own are `encoder` and more."""
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
                "num_latents": 0,  # different z, one after the other and then again; 0 never repeats one
                "latent_weight": 1.0,  # of the error of w
                "spectral_weight": 0.0,  # of that of the views of the sounds made of it; 0 makes none
            },
            "train": {
                "batch_size": 32,
                "total_images": 1_000_000,
                "accumulation": 1,
                "compute_dtype": "float32",  # the encoder's; the generator has its run's
                "ema_half_life_images": 10_000,  # O
                "ema_rampup": 0.05,  # O
            },
            "data": {"dir": "", "prefetch": 2},  # its labels condition the sounds; its test sounds are for evaluation
            "mesh": {"data": -1, "fsdp": 1},
            "logging": {"every": 50, "samples_every": 2_000, "num_samples": 16},  # each sound, then its reconstruction
            "checkpoint": {"every": 1_000, "keep": 2},
            "evaluation": {"every": 1_000, "num_samples": 512, "patience": 0, "metric": "latent/mse"},
        }
    )


def make_tiny(config: ConfigDict) -> None:
    """Shrink training, logging and evaluation to seconds, in place."""
    config.train.update(batch_size=8, total_images=96, ema_half_life_images=100)
    config.logging.update(every=4, samples_every=12, num_samples=4)
    config.checkpoint.every = 6
    config.evaluation.update(every=6, num_samples=16)
