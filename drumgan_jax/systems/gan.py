"""From a config to a Gan: representation, decoder, both networks, objective and growth of one system."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from drumgan_jax.audio.attributes import check_attributes
from drumgan_jax.audio.data_augmentation import DataAugmentation, DrumAugmentation, NoDataAugmentation
from drumgan_jax.audio.representations import build_representation
from drumgan_jax.audio.spectral_distance import (
    level_features,
    log_mel_distance,
    noisiness_distance,
    octaves_distance,
    pooled_distance,
)
from drumgan_jax.audio.spectrograms import LogMagnitude
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.parts import Representation
from drumgan_jax.core.schedules import Scheduled
from drumgan_jax.core.settings import (
    build_part,
    build_section,
    check_shapes,
    flag,
    read_partly,
    real,
    section_at,
    text,
    texts,
    whole,
)
from drumgan_jax.networks import (
    frame_discriminator,
    frame_generator,
    growing,
    progressive,
    projected,
    style_waveform,
    stylegan2,
)
from drumgan_jax.objectives.augmentation import Adaptive, Augmentation, NoAugmentation, Translation
from drumgan_jax.objectives.autoencoding import Autoencoding
from drumgan_jax.objectives.hinge import Hinge
from drumgan_jax.objectives.logistic import Logistic
from drumgan_jax.objectives.objective import Objective
from drumgan_jax.objectives.relativistic import Relativistic
from drumgan_jax.objectives.wasserstein import Wasserstein
from drumgan_jax.systems.decoders import Decoder, build_decoder
from drumgan_jax.systems.feature_networks import build_feature_networks
from drumgan_jax.systems.growth import Constant, Growth, Progressive

Array = jax.Array
# Of examples to their reconstructions without and with noise [].
Distance = Callable[[Array, Array, Array], Array]

GENERATORS: dict[str, type[nn.Module]] = {
    "stylegan2": stylegan2.Generator,
    "progressive": progressive.Generator,
    "style_waveform": style_waveform.Generator,
    "frames": frame_generator.Generator,
}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "stylegan2": stylegan2.Discriminator,
    "progressive": progressive.Discriminator,
    "style_waveform": style_waveform.Discriminator,
    "projected": projected.Discriminator,
    "frames": frame_discriminator.Discriminator,
}
OBJECTIVES: dict[str, type[Objective]] = {
    "logistic": Logistic,
    "wasserstein": Wasserstein,
    "hinge": Hinge,
    "relativistic": Relativistic,
    "autoencoding": Autoencoding,
}
DATA_AUGMENTATIONS: dict[str, type[DataAugmentation]] = {"none": NoDataAugmentation, "drums": DrumAugmentation}
AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "none": NoAugmentation,
    "translation": Translation,
    "adaptive": Adaptive,
}
GROWTHS: dict[str, type[Growth]] = {"constant": Constant, "progressive": Progressive}
COMPUTE_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True)
class GanTaskSettings:
    """Section `task` of a GAN.

    Attributes:
        conditional: whether the networks are conditioned on the data set's labels.
        soft_labels: whether the labels are class probabilities from `drumgan label` rather than classes.
        independent_classes: whether class weights are sliders from 0 to 1 when the generator is played, which it takes
            as they are, rather than shares of 1. Training is the same: its labels are classes or probabilities.
        attributes: of the data set's, by name, that the networks are conditioned on beside or instead of classes.
        consistent: whether the networks' full-size spectra are compared as those of their waveforms; see
            audio.spectrograms.Complex.consistent.
        critic_steps: steps of the discriminator for one of the generator.
        label_weight: share of the labels in what both networks see, the rest being alike for all classes. A schedule
            from 0 to 1 conditions gradually, for few recordings, of which a conditional GAN otherwise makes one sound
            a class (Shahbazi et al. 2022, "Collapse by conditioning").
        start_from: run whose last networks this run begins with; empty for none.
    """

    conditional: bool = flag(False)
    soft_labels: bool = flag(False)
    independent_classes: bool = flag(False)
    attributes: tuple[str, ...] = texts(())
    consistent: bool = flag(False)
    critic_steps: int = whole(1, 1)
    label_weight: Scheduled = real(0.0, 1.0, 1.0, scheduled=True)
    start_from: str = text("")

    def __post_init__(self) -> None:
        if self.soft_labels and not self.conditional:
            raise BadInput("config.task.soft_labels is true but config.task.conditional is false; set both or neither.")
        if self.independent_classes and not self.conditional:
            raise BadInput(
                "config.task.independent_classes is true but config.task.conditional is false; set both or neither."
            )
        check_attributes(self.attributes, "config.task.attributes")


@dataclasses.dataclass(frozen=True)
class _Precision:
    compute_dtype: str = text()


@dataclasses.dataclass(frozen=True)
class _Batches:
    batch_size: int = whole(1)


@dataclasses.dataclass(frozen=True)
class Gan:
    """The parts of one system, ready to initialise.

    Attributes:
        representation: from waveforms to examples.
        decoder: from examples to waveforms.
        generator: a linen module that is a parts.Generator.
        discriminator: a linen module from examples and labels to a DiscriminatorOutput.
        objective: the losses of both.
        augmentation: of the examples that the discriminator sees.
        data_augmentation: of the recordings, before they are examples.
        growth: when both networks grow.
        stage: the stage of growth that they are built for; None for the last.
    """

    representation: Representation
    decoder: Decoder
    generator: Any
    discriminator: Any
    objective: Objective
    augmentation: Augmentation = dataclasses.field(default_factory=NoAugmentation)
    data_augmentation: DataAugmentation = dataclasses.field(default_factory=NoDataAugmentation)
    growth: Growth = dataclasses.field(default_factory=Constant)
    stage: int | None = None

    def at(self, stage: int) -> "Gan":
        """The same parts with both networks at a stage of growth."""
        if self.growth.num_stages == 1:
            return self
        grown = {player: getattr(self, player).clone(stage=stage) for player in ("generator", "discriminator")}
        return dataclasses.replace(self, stage=stage, **grown)

    def with_decoder(self, decoder: Decoder) -> "Gan":
        """The same parts with another decoder."""
        return dataclasses.replace(self, decoder=decoder)

    def in_use(self, player: str, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the top-level modules of `player` that this stage uses."""
        return tuple(params) if self.stage is None else getattr(self, player).in_use

    def fit(self, x: Array, alpha: Array | float) -> Array:
        """Full-size examples [batch, freq, time, channels] at this stage's size, faded like the generator's."""
        return x if self.stage is None else growing.fit(x, self.generator.sizes, self.stage, alpha)

    @property
    def encodes(self) -> bool:
        """Whether the generator has an encoder of its own."""
        return getattr(self.generator, "encodes", False)

    @property
    def features(self) -> Callable[[Array], Array] | None:
        """Features of examples whose distances tell how unlike two sounds are; see LossContext."""
        shown: Any = self.representation
        if not shown.keeps_phase:
            return None

        def of(x: Array) -> Array:
            waveforms = shown.invert(growing.upsample_nearest(x, shown.shape[:2]))
            return level_features(waveforms, shown.sample_rate)

        return of

    @property
    def distances(self) -> dict[str, Distance]:
        """Distances of examples to their reconstructions without and with noise [], by name; see Autoencoding."""
        found: dict[str, Distance] = {
            "log_magnitude": lambda x, plain, noisy: jnp.mean(jnp.abs(x - plain)),
            "noisiness": noisiness_distance,
        }
        shown = self.representation
        if isinstance(shown, LogMagnitude):
            rate = shown.sample_rate
            magnitude = shown.magnitude
            found["log_mel"] = lambda x, plain, noisy: log_mel_distance(magnitude(x), magnitude(noisy), rate)
            found["spectra"] = lambda x, plain, noisy: pooled_distance(magnitude(x), magnitude(noisy))
            found["octaves"] = lambda x, plain, noisy: octaves_distance(magnitude(x), magnitude(noisy))
        return found

    def map(
        self, variables: Mapping[str, Any], z: Array, labels: Array | None, truncation: float | Array | None = None
    ) -> Array:
        """ws [batch, layers, w_dim] of z [batch, z_dim] and labels [batch, labels]; truncated unless None."""
        ws = apply(self.generator, variables, z, labels, method="map")
        if truncation is None:
            return ws
        return apply(self.generator, variables, ws, truncation, labels, method="truncate")

    def synthesize(self, variables: Mapping[str, Any], ws: Array, noise: Any) -> Array:
        """Examples [batch, freq, time, channels] of ws, upsampled to full size at any stage of growth.

        Args:
            variables: the generator's collections.
            ws: [batch, layers, w_dim].
            noise: see parts.Generator.synthesize.
        """
        x = apply(self.generator, variables, ws, noise, method="synthesize")
        return growing.upsample_nearest(x, self.representation.shape[:2])


def _framing(config: Mapping[str, Any], representation: Representation) -> dict[str, int]:
    """How much the frames of a representation overlap, for the generators that want to know."""
    part = GENERATORS.get(str(section_at(config, "generator").get("kind")))
    wanted = part is not None and "overlap" in {f.name for f in dataclasses.fields(part)}
    if not wanted or not isinstance(representation, LogMagnitude):
        return {}
    framing = representation.framing
    return {"overlap": max(1, round(framing.window_samples / framing.hop_length))}


def build_gan(config: Mapping[str, Any], num_labels: int, platform: str | None = None) -> Gan:
    """Build the parts that a config names.

    Args:
        config: sections `representation`, `generator`, `discriminator`, `objective` and `train`; optional sections
            `decoder`, `augmentation`, `data_augmentation` and `growth`, and, for a projected discriminator,
            `feature_networks`.
        num_labels: classes that condition both networks; 0 for none. The attributes of section `task` join them.
        platform: what the networks run on, cpu, gpu or tpu; None for what is here.

    Raises:
        BadInput: a section names an unknown part or setting, or a value is out of range.
    """
    representation = build_representation(section_at(config, "representation"))
    num_attributes = len(config.get("task", {}).get("attributes", ()))
    given = {
        "shape": representation.shape,
        "num_labels": num_labels + num_attributes,
        "compute_dtype": resolve_compute_dtype(read_partly(config, "train", _Precision).compute_dtype, platform),
    }
    networks = build_feature_networks(config.get("feature_networks", {}), representation)
    projected_on = {"feature_networks": networks} if networks else {}
    gan = Gan(
        representation=representation,
        decoder=build_decoder(config.get("decoder", {}), representation),
        generator=build_part(
            GENERATORS,
            section_at(config, "generator"),
            "generator",
            **given,
            **_framing(config, representation),
            num_attributes=num_attributes,
        ),
        discriminator=build_part(
            DISCRIMINATORS, section_at(config, "discriminator"), "discriminator", **given, **projected_on
        ),
        objective=build_part(OBJECTIVES, section_at(config, "objective"), "objective"),
        augmentation=build_part(AUGMENTATIONS, config.get("augmentation", {"kind": "none"}), "augmentation"),
        data_augmentation=build_part(
            DATA_AUGMENTATIONS, config.get("data_augmentation", {"kind": "none"}), "data_augmentation"
        ),
        growth=build_part(GROWTHS, config.get("growth", {"kind": "constant"}), "growth"),
    )
    if gan.encodes and not isinstance(representation, LogMagnitude):
        raise BadInput(
            f"config.generator.kind {shown(config['generator']['kind'])} makes log magnitudes; set"
            " config.representation.kind to 'log_magnitude'."
        )
    for player in ("generator", "discriminator"):
        sizes = getattr(getattr(gan, player), "sizes", ((),))
        if len(sizes) != gan.growth.num_stages:
            raise BadInput(
                f"config.{player} has {len(sizes)} stage(s) of growth and config.growth {gan.growth.num_stages};"
                " give config.growth.images one number for each stage, or let nothing grow."
            )
    return gan


def gan_at(config: Mapping[str, Any], num_labels: int, step: int) -> tuple[Gan, dict[str, Any]]:
    """The parts that a config names, at the stage of growth that training is in after `step` steps.

    Returns:
        The parts, and the collection "growth", which joins the generator's variables.

    Raises:
        BadInput: see `build_gan`.
    """
    gan = build_gan(config, num_labels)
    stage, alpha = gan.growth.at(step * read_partly(config, "train", _Batches).batch_size)
    return gan.at(stage), {"growth": {"alpha": np.float32(alpha)}}


def gan_task_settings(config: Mapping[str, Any]) -> GanTaskSettings:
    """Section `task` of a GAN's config.

    Raises:
        BadInput: a setting is unknown or out of range.
    """
    settings = {name: value for name, value in section_at(config, "task").items() if name != "kind"}
    return build_section(GanTaskSettings, settings, "task")


def generator_shapes(gan: Gan, num_labels: int) -> dict[str, Any]:
    """Shapes and dtypes of a generator's variables, whose labels are classes and attributes.

    Raises:
        BadInput: it cannot be built with its settings.
    """
    labels = jnp.zeros((1, num_labels)) if num_labels else None
    shapes: dict[str, Any] = check_shapes(
        "generator", gan.generator.init, jnp.zeros((1, gan.generator.z_dim)), labels, None
    )
    return shapes


def resolve_compute_dtype(name: str, platform: str | None = None) -> Any:
    """The dtype of convolutions: "auto" is bfloat16 on TPU and GPU, and float32 on CPU, where bfloat16 is slow.

    Raises:
        BadInput: the name is not a known dtype.
    """
    if name == "auto":
        return jnp.float32 if (platform or jax.default_backend()) == "cpu" else jnp.bfloat16
    if name not in COMPUTE_DTYPES:
        known = ", ".join(["auto", *COMPUTE_DTYPES])
        raise BadInput(f"config.train.compute_dtype is {shown(name)}; it must be one of {known}.")
    return COMPUTE_DTYPES[name]


def apply(
    module: nn.Module, variables: Any, *inputs: Any, method: str | None = None, rngs: dict[str, Array] | None = None
) -> Any:
    """`module.apply` for a method that changes no collection."""
    # Linen types the result as a union with the changed collections, and here no collection changes.
    return module.apply(variables, *inputs, method=method, rngs=rngs)
