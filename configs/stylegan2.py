"""Settings shared by the systems built on StyleGAN2: the networks, objective and optimisers of config F.

(P) marks a value from Karras et al. 2020 or its release, (O) one of ours.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults


def base() -> ConfigDict:
    """Config F at full width; a system adds its name, representation, slicing and the size of the learned constant."""
    adam = {"learning_rate": 0.002, "beta1": 0.0, "beta2": 0.99, "epsilon": 1e-8}  # P
    width = {"channel_base": 32768, "channel_max": 512}  # P
    config = defaults.gan()
    config.update(
        {
            "generator": {
                "kind": "stylegan2",
                "base": (4, 4),  # of the learned constant: freq, time
                "z_dim": 512,  # P
                "w_dim": 512,  # P
                "mapping_layers": 8,  # P
                "mapping_lr_multiplier": 0.01,  # P
                "style_mixing": 0.9,  # P; probability
                "rematerialize": False,  # recompute activations in the backward pass: costs time, saves memory
                **width,
            },
            "discriminator": {
                "kind": "stylegan2",
                "base": (4, 4),
                "stddev_group": 4,  # P
                "rematerialize": False,
                **width,
            },
            "objective": {
                "kind": "logistic",
                "r1_gamma": 10.0,  # P
                "r1_interval": 16,  # P; discriminator steps
                "path_length_weight": 2.0,  # P
                "path_length_interval": 4,  # P; generator steps
                "path_length_decay": 0.01,  # P
                "path_length_batch_shrink": 2,  # P
            },
            "optimizer": {"generator": dict(adam), "discriminator": dict(adam)},
        }
    )
    return config


def narrow(config: ConfigDict, base: tuple[int, int], channel_base: int, channel_max: int) -> None:
    """Set the size (freq, time) of the learned constant and the width of both networks, in place."""
    for network in (config.generator, config.discriminator):
        network.update(base=base, channel_base=channel_base, channel_max=channel_max)


def make_tiny(config: ConfigDict) -> None:
    """Shrink training, logging and the mapping network to minutes on a CPU, in place."""
    config.generator.update(z_dim=64, w_dim=64, mapping_layers=4)
    config.train.update(batch_size=16, total_images=24_000, ema_half_life_images=2_000)
    config.logging.update(every=10, samples_every=500)
    config.checkpoint.every = 250
    config.evaluation.update(every=250, num_samples=256)
