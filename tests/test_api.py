"""docs/api.md names exactly what the public modules offer."""

import importlib
import re
from pathlib import Path

import drumgan_jax

# A constant of the command line's, which nobody else needs.
UNLISTED = {"drumgan_jax.play.load": {"SHIPPED"}}


def listed(repository: Path) -> dict[str, set[str]]:
    """Names by module, of the page's first table."""
    table = (repository / "docs" / "api.md").read_text().split("## Files")[0]
    rows = re.findall(r"^\| `(drumgan_jax[\w.]*)` \| (.*) \|$", table, flags=re.M)
    return {module: set(re.findall(r"`(\w+)`", names)) for module, names in rows}


def test_the_page_and_the_modules_name_the_same(repository: Path) -> None:
    page = listed(repository)
    assert len(page) > 8
    for name, names in page.items():
        module = importlib.import_module(name)
        offered = set(module.__all__) - UNLISTED.get(name, set())
        assert names - {"__version__"} == offered, name
        for one in names:
            assert getattr(module, one) is not None


def test_every_format_is_on_the_page(repository: Path) -> None:
    from drumgan_jax.commands.latents_file import LATENTS_FORMAT
    from drumgan_jax.data.dataset import DATASET_FORMAT
    from drumgan_jax.evaluation.quality import judge, sets
    from drumgan_jax.play import load, pca_gaussian
    from drumgan_jax.systems import classifier, formats, vocoder

    page = (repository / "docs" / "api.md").read_text()
    for form in (load.FORMAT, classifier.FORMAT, vocoder.FORMAT, judge.FORMAT, sets.FORMAT, pca_gaussian.FITTED_FORMAT):
        assert f"`{form.name} {form.version}`" in page
    for row, version in (
        ("`config.json` of a run", formats.CONFIG_FORMAT),
        ("`latents.json`", LATENTS_FORMAT),
        ("data set", DATASET_FORMAT),
    ):
        assert re.search(rf"^\| {re.escape(row)} \|[^|]*\| {version} \|", page, flags=re.M), row
    assert drumgan_jax.__version__ in (repository / "CHANGELOG.md").read_text()
