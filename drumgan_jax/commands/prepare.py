"""drumgan prepare: turn folders of audio into a data set of TFRecord shards.

    drumgan prepare --config=splice_loops:small --audio=FOLDER --audio=MORE --data_dir=data
    drumgan prepare --config=splice_loops:tiny --audio='synthetic:drums?count=600' --data_dir=data

The data set is written atomically to DATA_DIR/<config.name>/1.0.0; report.json there lists the outcome for each file.
"""

from collections.abc import Sequence

from absl import flags

from drumgan_jax.commands.config_flag import define_config, with_paths
from drumgan_jax.commands.path_flags import define_path, define_paths
from drumgan_jax.core.errors import BadInput

CONFIG = define_config()
AUDIO = define_paths(
    "audio",
    "A folder, an audio file, a manifest .csv, tfds:NAME, synthetic:drums, synthetic:bars or sequenced:FOLDER; may be"
    " repeated.",
)
DATA_DIR = define_path("data_dir", "data", "The folder of data sets.")
WHERE = flags.DEFINE_multi_string(
    "where",
    [],
    "Use only manifest rows with column=value (or value|value, or 'licence~free or source=mine'); may be repeated.",
)
LICENCE = flags.DEFINE_enum(
    "licence", "any", ["free", "permissive", "any"], "Use only manifest rows that ask for nothing, or for credit only."
)
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a data set of the same name.")
WORKERS = flags.DEFINE_integer("workers", 0, "Number of local processes; 0 for automatic.", lower_bound=0)
BEAM_RUNNER = flags.DEFINE_string(
    "beam_runner", "", "A Beam runner (FlinkRunner, DataflowRunner, ...); empty for local."
)
BEAM_OPTIONS = flags.DEFINE_list("beam_options", [], "Options of the Beam runner, as name=value.")


def main(argv: Sequence[str]) -> None:
    """Prepare a data set as the flags say, and print a summary."""
    del argv
    if CONFIG.value is None:
        raise BadInput("no config was given; name one with --config=splice_loops:small.")
    from drumgan_jax.data_pipelines.prepare import prepare, summary

    result = prepare(
        with_paths(CONFIG.value),
        AUDIO.value,
        DATA_DIR.value,
        where=[*WHERE.value, *([] if LICENCE.value == "any" else [f"licence~{LICENCE.value}"])],
        overwrite=OVERWRITE.value,
        workers=WORKERS.value,
        beam_runner=BEAM_RUNNER.value,
        beam_options=BEAM_OPTIONS.value,
        show_progress=True,
    )
    print(summary(result))
