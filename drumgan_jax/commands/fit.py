"""drumgan fit --config=pca_gaussian:packaged --config.data.dir=DATA --workdir=RUN [--config.section.field=value ...]

Fits a config in closed form, without training steps, and writes the run directory RUN. All verbs that play, measure or
pack take it as --run. `pca_gaussian` is principal components of log magnitudes with a Gaussian per class: the baseline
that a trained generator has to beat. `judge` is a classifier for `drumgan evaluate --judge=RUN/judge.npz`, which says
whether the classes that a generator was asked for are heard; fit it to recordings that the generator did not see.
"""

from collections.abc import Sequence

from absl import flags

from drumgan_jax.commands.config_flag import define_config, with_paths
from drumgan_jax.commands.path_flags import define_path

CONFIG = define_config()
WORKDIR = define_path("workdir", None, "the run directory to write.", required=True, bucket=True)
flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
    """Fit; see the module's docstring."""
    del argv
    from drumgan_jax.core.compilation import enable_compilation_cache
    from drumgan_jax.training.fitting import fit

    enable_compilation_cache()
    print(f"The fit is in {fit(with_paths(CONFIG.value), WORKDIR.value)}.")
