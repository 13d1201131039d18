"""Write docs/listen.html: eight sounds of each class of the packaged instrument beside recordings and others, to hear.

    python -m benchmarks.listen --data=DATA [--before=FILE] --out=docs/listen.html

Seeds 0 to 7, none selected. DATA is a data set of the packaged instrument's classes, with held-out recordings that are
dedicated to the public domain in split "test". The packaged principal components, and an earlier instrument if one is
given, have fewer classes. A player plays a row's sounds one after another, as Ogg Vorbis in the page itself. Beside the
page lies a picture of the spectrograms of the packaged instrument's sounds, a row for each class.
"""

import argparse
import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from drumgan_jax.audio.pictures import save_grid
from drumgan_jax.data.dataset import Dataset, open_dataset
from drumgan_jax.play.load import load

_SEEDS = range(8)
# Of Vorbis, from 0 to 1: least compression to most.
_COMPRESSION = 0.7
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>drumgan_jax: what the packaged instrument sounds like</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
  table {{ border-collapse: collapse; width: 100%; }}
  th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd; }}
  audio {{ width: 15rem; height: 2rem; }}
</style>
<h1>What the packaged instrument sounds like</h1>
<p>{words}</p>
<table>
<thead><tr><th>class</th>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</html>
"""


def main() -> None:
    """Render and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--before")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    own, dataset = load(), open_dataset(options.data)
    makers: dict[str, Any] = {"this instrument": own, "principal components": load("pca_gaussian")}
    if options.before:
        makers["the instrument before"] = load(options.before)
    columns = ["this instrument", "recordings (held out)", *list(makers)[1:]]
    rows, pictured = [], []
    for name in own.label_names:
        cells = {title: _rendered(maker, name) for title, maker in makers.items()}
        pictured.append(own.render(own.draw(_SEEDS, name)).waveforms)
        cells["recordings (held out)"] = _recorded(dataset, name)
        rows.append(f"<tr><th>{name.replace('_', ' ')}</th>{''.join(_cell(cells[title]) for title in columns)}</tr>")
    words = (
        "Sounds of seeds 0 to 7, none selected, one after another. Recordings are of the held-out sources (sonic-pi, "
        "tr808-fischer, uzu-drumkit: CC0 or Unlicense), which no instrument here was trained on; there are up to eight "
        "of a class. Principal components and the earlier instrument know fewer classes."
    )
    heads = "".join(f"<th>{html.escape(title)}</th>" for title in columns)
    options.out.write_text(_PAGE.format(words=words, heads=heads, rows="\n".join(rows)))
    save_grid(options.out.with_suffix(".jpg"), np.concatenate(pictured), columns=len(_SEEDS))
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


def _rendered(playable: Any, name: str) -> tuple[np.ndarray, int] | None:
    """Sounds of a class [sounds, samples] and their rate in Hz; None if the playable has no such class."""
    if name not in playable.label_names:
        return None
    return playable.render(playable.draw(_SEEDS, name)).waveforms, playable.sample_rate


def _recorded(dataset: Dataset, name: str) -> tuple[np.ndarray, int]:
    """Held-out recordings of a class, likewise; the first in the order of the records."""
    classes, _ = dataset.classes_and_sources("test")
    items = np.flatnonzero(classes == dataset.label_names.index(name))[: len(_SEEDS)]
    waveforms = [dataset.example("test", int(item), ("waveforms",))["waveforms"] for item in items]
    return np.stack(waveforms), dataset.representation.sample_rate


def _cell(sounds: tuple[np.ndarray, int] | None) -> str:
    if sounds is None:
        return "<td></td>"
    waveforms, rate = sounds
    encoded = io.BytesIO()
    soundfile.write(encoded, waveforms.ravel(), rate, format="OGG", subtype="VORBIS", compression_level=_COMPRESSION)
    address = "data:audio/ogg;base64," + base64.b64encode(encoded.getvalue()).decode()
    return f'<td><audio controls preload="none" src="{address}"></audio></td>'


if __name__ == "__main__":
    main()
