"""Train and measure on one GPU in a quarter of an hour, at home or on a rented card.

    python -m benchmarks.gpu_kit gather --data=DATA --kit=KIT [--wheels=NAME,NAME --python=3.12]
    python -m benchmarks.gpu_kit run [--kit=KIT] --state=STATE [--minutes=8] [--variant=small] [--paper=CONFIG]

`gather` runs where the data are. It writes the recordings of a prepared data set to KIT as FLAC with a manifest, and
wheels of what the card's image lacks. `run` runs on the card, from a checkout beside KIT; without a kit it takes
procedural drums. It does pieces until the minutes are used up: prepare the data; time the training steps; train pca_gan
and one paper's system; make both tables of quality; pack the better; append a section to benchmarks/RESULTS.md. The
same command goes on where it stopped; its status is 75 as long as something is left, as of `drumgan train`. STATE is at
most 50 MB, in files of at most 16 MB, and all that another machine needs to go on, beside KIT. docs/gpu.md has more.
"""

import argparse
import csv
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# No other imports here: on the card, the libraries may have to be installed first.
if TYPE_CHECKING:
    import numpy as np

    from drumgan_jax.data.dataset import Dataset

RECORDINGS_BYTES = 40 * 10**6
PROCEDURAL = "synthetic:"
# What the kit imports, by the names of their wheels.
IMPORTS = {
    "absl": "absl-py",
    "flax": "flax",
    "google_crc32c": "google-crc32c",
    "grain": "grain",
    "jax": "jax",
    "ml_collections": "ml-collections",
    "numpy": "numpy",
    "optax": "optax",
    "orbax": "orbax-checkpoint",
    "PIL": "pillow",
    "matplotlib": "matplotlib",
    "scipy": "scipy",
    "soundfile": "soundfile",
    "soxr": "soxr",
    "tensorflow_datasets": "tensorflow-datasets",
    "tqdm": "tqdm",
}
UNFINISHED = 75


def gather(data: str, kit: Path, wheels: Sequence[str] = (), python: str = "3.12") -> int:
    """Write a data set's recordings of the splits "train" and "test" to a kit, and wheels.

    Args:
        data: the prepared data set.
        kit: the folder, created.
        wheels: packages that the card's image lacks, which are fetched as wheels, without what they need.
        python: the image's version of Python.

    Returns:
        Bytes of the recordings.

    Raises:
        BadInput: the kit exists, the recordings have no classes or exceed RECORDINGS_BYTES, or there is no such wheel.
    """
    from drumgan_jax.core.errors import BadInput
    from drumgan_jax.data.dataset import open_dataset

    dataset = open_dataset(data)
    if not dataset.has_labels:
        raise BadInput(f"the examples of {dataset.directory} have no classes; prepare it with a folder for each class.")
    if (kit / "manifest.csv").exists():
        raise BadInput(f"{kit} holds a kit already; give another --kit.")
    kit.mkdir(parents=True, exist_ok=True)
    rows, total = [], 0
    for split in _splits(dataset):
        for item in range(dataset.num_examples(split)):
            row, samples = _recording(dataset, split, item)
            path = kit / row["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            total += _write_flac(path, samples, dataset.representation.sample_rate)
            if total > RECORDINGS_BYTES:
                raise BadInput(
                    f"the recordings of {dataset.directory} exceed {RECORDINGS_BYTES / 1e6:.0f} MB as FLAC; prepare "
                    "fewer of them (--where)."
                )
            rows.append(row)
    if wheels:
        _fetch_wheels(wheels, python, kit / "wheels")
    # Last, so that a kit with a manifest is whole.
    with open(kit / "manifest.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "label", "source", "split", "group", "licence"])
        writer.writeheader()
        writer.writerows(_with_licences(rows, dataset))
    return total


def _splits(dataset: "Dataset") -> list[str]:
    """The splits to gather: "test" is held out by its sources, so it is left out where training has one of them."""
    if "test" not in dataset.splits:
        return ["train"]
    sources = {split: set(dataset.classes_and_sources(split)[1]) for split in ("train", "test")}
    if sources["train"] & sources["test"]:
        print("note: the data set's held-out recordings share sources with the others, so the kit has none.")
        return ["train"]
    return ["train", "test"]


def _recording(dataset: "Dataset", split: str, item: int) -> tuple[dict[str, str], "np.ndarray"]:
    """A row of the manifest, and samples [samples] int16 without the silence behind them."""
    import numpy as np

    stored = dataset.features.deserialize_example_np(dataset.source(split)[item])
    samples = np.trim_zeros(np.asarray(stored["audio"], np.int16), "b")
    row = {
        "path": f"recordings/{split}/{item:05d}.flac",
        "label": dataset.label_names[int(stored["label"])],
        "source": bytes(stored["source"]).decode(),
        "split": split,
        "group": bytes(stored["path"]).decode(),
    }
    return row, samples


def _write_flac(path: Path, samples: "np.ndarray", sample_rate: int) -> int:
    import soundfile

    with soundfile.SoundFile(path, "w", sample_rate, 1, "PCM_16", format="FLAC", compression_level=1.0) as file:
        file.write(samples)
    return path.stat().st_size


def _with_licences(rows: list[dict[str, str]], dataset: "Dataset") -> list[dict[str, str]]:
    """The rows with the licences of the manifests that the data set was prepared from, as far as they are at hand."""
    import json

    report = dataset.directory / "report.json"
    sources = json.loads(report.read_text()).get("sources", []) if report.exists() else []
    licences: dict[str, str] = {}
    for source in sources:
        if source.endswith(".csv") and os.path.isfile(source):
            with open(source, newline="", encoding="utf-8-sig") as file:
                for row in csv.DictReader(file):
                    licences[Path(row["path"]).as_posix()] = row.get("licence") or ""
    return [{**row, "licence": licences.get(row["group"], "")} for row in rows]


def _fetch_wheels(names: Sequence[str], python: str, folder: Path) -> None:
    from drumgan_jax.core.errors import BadInput

    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", f"--python-version={python}", f"--dest={folder}", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise BadInput(f"no wheels of {', '.join(names)} for Python {python}: {last}")


def run(arguments: argparse.Namespace) -> int:
    """Do the next pieces; the process's status."""
    from drumgan_jax.core.errors import BadInput

    if missing := _install_wheels(arguments):
        wanted = ",".join(IMPORTS[name] for name in missing)
        raise BadInput(f"{', '.join(missing)} cannot be imported; install them, or gather with --wheels={wanted}.")
    from absl import logging

    from drumgan_jax.core.compilation import enable_compilation_cache

    logging.set_verbosity(logging.WARNING)
    enable_compilation_cache()
    import jax

    from benchmarks.gpu_pieces import OWN, PAPER, Job, run_pieces

    if jax.default_backend() == "cpu":
        print("no GPU: all pieces run on the CPU, where only the variant tiny is quick.")
    audio, recordings = _audio(arguments.kit)
    systems = {OWN: f"pca_gan:{arguments.variant}", PAPER: arguments.paper or f"style_drumsynth:{arguments.variant}"}
    if arguments.minutes <= 0:
        raise BadInput(f"--minutes is {arguments.minutes:g}; it must be above 0.")
    job = Job(audio, arguments.state, arguments.work, systems, arguments.sounds, arguments.results)
    return 0 if run_pieces(job, arguments.minutes, recordings) else UNFINISHED


def _audio(kit: str) -> tuple[str, str]:
    """The source for `drumgan prepare`, and what tells its recordings from others."""
    from drumgan_jax.core.errors import BadInput

    if kit.startswith(PROCEDURAL):
        return kit, kit
    manifest = Path(kit) / "manifest.csv"
    if not manifest.is_file():
        raise BadInput(f"{kit} is no kit: it has no manifest.csv; make one with `gather`, or leave --kit out.")
    return os.fspath(manifest), hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]


def _install_wheels(arguments: argparse.Namespace) -> list[str]:
    """Put the kit's wheels on the path if an import is missing; the names that are missing still."""
    missing = _missing()
    wheels = sorted(Path(arguments.kit).glob("wheels/*.whl"))
    if not missing or not wheels:
        return missing
    target = arguments.work / "wheels"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade"]
    subprocess.run([*command, f"--target={target}", *map(str, wheels)], check=True)
    # Behind the image's own, and for worker processes too.
    sys.path.append(os.fspath(target))
    behind = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    os.environ["PYTHONPATH"] = os.pathsep.join([*behind, os.fspath(target)])
    importlib.invalidate_caches()
    return _missing()


def _missing() -> list[str]:
    return [name for name in IMPORTS if importlib.util.find_spec(name) is None]


def main(argv: Sequence[str] | None = None) -> int:
    """Gather or run; see the module's docstring. The process's status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    of_gather = verbs.add_parser("gather", help="write a kit of a prepared data set")
    of_gather.add_argument("--data", required=True, help="the data set; it has the rate of the card's systems")
    of_gather.add_argument("--kit", required=True, type=Path, help="the folder to write")
    of_gather.add_argument("--wheels", default="", help="packages that the card's image lacks, separated by commas")
    of_gather.add_argument("--python", default="3.12", help="the image's version of Python")
    of_run = verbs.add_parser("run", help="do the next pieces on the card")
    of_run.add_argument("--kit", default="synthetic:drums?count=600", help="the kit; procedural drums without one")
    of_run.add_argument("--state", required=True, type=Path, help="the folder that another machine goes on with")
    of_run.add_argument("--work", type=Path, help="data sets and run directories; STATE-work if not given")
    of_run.add_argument("--minutes", type=float, default=8.0, help="time for this call")
    of_run.add_argument("--variant", default="small", help="of pca_gan")
    of_run.add_argument("--paper", default="", help="a paper's config; style_drumsynth:VARIANT if not given")
    of_run.add_argument("--sounds", type=int, default=300, help="sounds in each row of the tables")
    of_run.add_argument(
        "--results", type=Path, default=Path(__file__).with_name("RESULTS.md"), help="what is appended to"
    )
    arguments = parser.parse_args(argv)
    from drumgan_jax.core.errors import BadInput

    try:
        if arguments.verb == "gather":
            wheels = [name for name in arguments.wheels.split(",") if name]
            total = gather(arguments.data, arguments.kit, wheels, arguments.python)
            print(f"{arguments.kit}: recordings of {total / 1e6:.1f} MB.")
            return 0
        if arguments.work is None:
            arguments.work = arguments.state.with_name(f"{arguments.state.name}-work")
        return run(arguments)
    except BadInput as problem:
        print(f"gpu_kit: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
