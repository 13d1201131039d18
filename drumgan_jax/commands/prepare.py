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
RUNNER = flags.DEFINE_string(
    "runner",
    "",
    "The Beam runner of an engine: dask, portable, direct, flink, spark, prism, dataflow; empty for local.",
)
DASK_CLIENT_ADDRESS = flags.DEFINE_string(
    "dask_client_address", None, "Of --runner=dask: the address of the scheduler, such as tcp://HOST:8786."
)
JOB_ENDPOINT = flags.DEFINE_string("job_endpoint", None, "Of --runner=portable: the job service, as HOST:PORT.")
BEAM_OPTION = flags.DEFINE_multi_string("beam_option", [], "An option of Beam, as name=value; may be repeated.")


def main(argv: Sequence[str]) -> None:
    """Prepare a data set as the flags say, and print a summary."""
    del argv
    if CONFIG.value is None:
        raise BadInput("no config was given; name one with --config=splice_loops:small.")
    from drumgan_jax.data_pipelines.prepare import prepare, summary

    addresses = {"dask_client_address": DASK_CLIENT_ADDRESS.value, "job_endpoint": JOB_ENDPOINT.value}
    result = prepare(
        with_paths(CONFIG.value),
        AUDIO.value,
        DATA_DIR.value,
        where=[*WHERE.value, *([] if LICENCE.value == "any" else [f"licence~{LICENCE.value}"])],
        overwrite=OVERWRITE.value,
        workers=WORKERS.value,
        runner=RUNNER.value,
        beam_options=[*(f"{name}={value}" for name, value in addresses.items() if value), *BEAM_OPTION.value],
        show_progress=True,
    )
    print(summary(result))
