"""A plan's figures, by hand; the programs of every system; what is refused."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import pods_table
from drumgan_jax.configs import drum_classifier, drumgan_vst, electrogan, pca_gan, pjloopgan, splice_loops
from drumgan_jax.configs import style_drumsynth as style
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.planning import planner
from drumgan_jax.planning.compiled import MeasuredProgram, Measures
from drumgan_jax.planning.largest import Largest
from drumgan_jax.planning.layout import bytes_on
from drumgan_jax.planning.plan import Plan
from drumgan_jax.planning.planner import Site, Tracing, described
from drumgan_jax.planning.programs import Program, batch_shapes, completed, programs_of, task_of
from drumgan_jax.planning.report import screen, to_json
from drumgan_jax.planning.roofline import Span, span_of
from drumgan_jax.planning.topologies import Topology
from drumgan_jax.training.tasks.gan import GanTask

V5E, H100 = Topology.parse("v5e:2x2"), Topology.parse("h100:4")
# A second of arithmetic, two of memory and three of links: in a ring of four, 1.5 bytes go out for one of the sum.
SLOW = Measures(2**30, 2**29, 2**31, 2**20, 197e12, 2 * 819e9, {"all-reduce": int(2 * V5E.chip.link_bandwidth)})


def planned(config: Any, **overrides: Any) -> tuple[GanTask, dict[str, Any]]:
    config.update_from_flattened_dict(overrides)
    full = completed(config)
    return task_of(full, make_mesh(**full["mesh"])), full


def site_of(config: Any, topology: Topology = V5E, **overrides: Any) -> Site:
    config.update_from_flattened_dict(overrides)
    return Site.of(completed(config), topology)


def plan_of(runs: int = 10, measures: Measures = SLOW) -> Plan:
    step = MeasuredProgram("generator", runs, True, 0, 197e12, measures)
    sampler = MeasuredProgram("sampler", 2, False, 2**20, 197e12, SLOW)
    site = site_of(style.get_config("tiny"))
    return described("style_drumsynth:tiny", site, [step, sampler], Largest(6, 7), {}, quick=False)


@pytest.mark.smoke
def test_the_time_of_a_program_lies_between_its_bounds() -> None:
    # Links are the longest of what may go on at once.
    assert span_of(197e12, SLOW, V5E, fsdp=1) == Span(3.0, 6.0)
    # Two slices share the network of their hosts: 25 GB/s for four chips, and the ring is of eight.
    two = span_of(197e12, SLOW, Topology.parse("2xv5e:2x2"), fsdp=1)
    assert two.least == pytest.approx(3.0 * (1.75 / 1.5) * 200 / 6.25)
    kinds = dataclasses.replace(SLOW, collectives={"reduce-scatter": 10**9, "all-gather": 10**9})
    assert span_of(0.0, kinds, V5E, fsdp=4).least == pytest.approx((3 + 0.75) * 1e9 / V5E.chip.link_bandwidth)


@pytest.mark.smoke
def test_figures_of_a_plan_by_hand() -> None:
    plan = plan_of()
    assert (plan.training, plan.whole) == (Span(30.0, 60.0), Span(36.0, 72.0))
    assert plan.images == 320
    assert plan.images_per_second == Span(320 / 60, 320 / 30)
    assert plan.share_of_peak == Span(10 / 60, 10 / 30)
    # Waveforms of 2,048 numbers and the weights of three classes, to one host.
    assert plan.example == 4 * (2048 + 3)
    assert plan.input_bandwidth.most == pytest.approx(320 / 30 * plan.example)
    # Two chip-hours at 1.5: the run takes a hundredth of an hour on four chips.
    assert plan.cost(1.5).least == pytest.approx(1.5 * 4 * 36 / 3600)
    # Beside the sampler lies a part of the state.
    assert plan.peak == SLOW.peak + 2**20 + 2 * SLOW.code + plan.batches
    assert plan.batches == 3 * plan.example * 8 // 4
    assert plan.fits
    assert not plan_of(measures=Measures(0, 0, 2**34, 1, 1.0, 1.0, {})).fits


def test_the_state_is_what_a_chip_holds() -> None:
    """Everything on every chip; with fsdp, large arrays are split."""
    site = site_of(style.get_config("tiny"), H100)
    whole = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(site.task.shapes))
    assert described("a", site, [], Largest(1, 2), {}, quick=False).state == whole
    site = site_of(splice_loops.get_config("full"), H100, **{"mesh.fsdp": 4})
    large = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(site.task.shapes))
    assert large / 4 < site.bytes_a_chip(site.task.shapes) < 0.3 * large


def test_the_screen_and_the_json_say_the_same() -> None:
    plan = plan_of()
    text = screen(plan, price=1.5)
    assert "style_drumsynth:tiny on v5e:2x2: 4 chips of 1 host, data 4, batches of 8, bfloat16" in text
    assert "of 15.75 GiB, which fits" in text
    assert "0.01 to 0.02 hours for 320 images" in text
    assert "0.06 to 0.12 at 1.5 a chip-hour" in text
    assert "largest batch   24; 28 does not fit" in text
    assert "estimates" not in text
    assert "estimates" in screen(dataclasses.replace(plan, quick=True), price=None)
    assert "more than 1,024 rows a chip are not tried" in screen(
        dataclasses.replace(plan, largest=Largest(6, None)), price=None
    )
    assert "not even one" in screen(dataclasses.replace(plan, largest=Largest(0, 1)), price=None)
    assert "the loader gives 3 GB/s" in screen(dataclasses.replace(plan, loader=3e9), price=None)
    assert "all-reduce 400 G" in text
    assert "optimal" not in text
    found = json.loads(json.dumps(to_json(plan, price=1.5)))
    assert found["whole"] == {"least": 36.0, "most": 72.0}
    assert found["cost"]["most"] == pytest.approx(1.5 * 4 * 72 / 3600)
    assert found["programs"][0]["seconds"] == {"least": 3.0, "most": 6.0}
    assert found["programs"][0]["measures"]["collectives"] == {"all-reduce": 400_000_000_000}
    assert found["largest_batch"] == 24
    assert pods_table.row(found)[:6] == ["`style_drumsynth:tiny`", "`v5e:2x2`", "4 x 1", "8, bfloat16", "yes", "0.00"]
    # A step exchanges what a quarter of the programs' runs do: ten runs in forty steps.
    assert pods_table.row(found)[8] == f"{4e11 * 10 / 40 / 1e6:.3g}"
    assert "cost" not in to_json(plan, price=None)
    assert "chip-hour" not in screen(plan, price=None)


@pytest.mark.parametrize("module", [drumgan_vst, electrogan, pca_gan, pjloopgan, splice_loops, style])
def test_every_system_is_planned_without_a_data_set(module: Any) -> None:
    task, config = planned(module.get_config("tiny"))
    shapes = batch_shapes(task, config)
    assert set(shapes) == set(task.keys)
    assert all(shape.shape[0] == config["train"]["batch_size"] for shape in shapes.values())


@pytest.mark.parametrize("config", [drumgan_vst.get_config("tiny"), splice_loops.get_config("tiny")])
def test_programs_run_as_often_as_training_runs_them(config: Any) -> None:
    task, _ = planned(config)
    steps = 37
    counted: dict[str, int] = {}
    last = task.gan.growth.num_stages - 1
    for step in range(steps):
        stage, _ = task.gan.growth.at(step * config.train.batch_size)
        for name, interval in task.intervals.items():
            if step % interval == 0:
                key = name if stage == last else f"{name} of stage {stage}"
                counted[key] = counted.get(key, 0) + 1
    assert {name: count for name, count in task.runs(steps).items() if count} == counted


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plans are made for the devices that are here, and kept in this folder."""
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path))
    monkeypatch.setattr(Topology, "devices", lambda self: jax.devices()[: self.chips])
    monkeypatch.setattr(Topology, "check_compiler", lambda self: None)
    monkeypatch.setattr(planner, "_versions", lambda topology, quick: {})
    return tmp_path / "plans"


def replaced(monkeypatch: pytest.MonkeyPatch, trace: Callable[[int], Any]) -> None:
    """A program in the place of a run's; `trace` takes the batch size."""

    def programs(task: GanTask, *_: Any) -> list[Program]:
        batch_size = task.context.settings.batch_size
        return [Program("generator", lambda: trace(batch_size), 5, True, (), {"batch_size": batch_size})]

    monkeypatch.setattr(planner, "programs_of", programs)


def product(batch_size: int) -> Any:
    return jax.jit(lambda x: x @ x.T).trace(jax.ShapeDtypeStruct((batch_size, 8), np.float32))


def test_a_plan_compiles_what_there_is_once(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    tried: list[int] = []

    def trace(batch_size: int) -> Any:
        tried.append(batch_size)
        return TooLarge(batch_size, 100)

    replaced(monkeypatch, trace)
    config = completed(style.get_config("tiny"))
    found = planner.plan("a", config, V5E, quick=False)
    assert tried[0] == 8
    assert found.programs[0].measures.flops >= 2 * 8**3
    assert found.programs[0].operations == 2 * 8**3 / 4
    assert math.isfinite(found.images_per_second.most)
    assert found.largest_batch == 96
    tried.clear()
    assert planner.plan("a", config, V5E, quick=False) == found
    assert not tried
    half = '{"operations": 1, "measures": {"arguments": 1}}'
    for damaged in ("", "{}", '{"operations": 1}', '{"operations": [], "measures": {}}', half):
        for file in cache.iterdir():
            file.write_text(damaged)
        assert planner.plan("a", config, V5E, quick=False) == found
        assert tried


def test_programs_are_kept_by_what_decides_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a run is, and what it writes, does not; a wider network does."""
    config = style.get_config("tiny")
    task, full = planned(config)
    (kept,) = {json.dumps(one.decided_by) for one in programs_of(task, full, 4, print)}
    for changes, same in (
        ({"train.total_images": 64, "logging.samples_every": 7, "data.prefetch": 5}, True),
        ({"train.batch_size": 16}, False),
        ({"generator.w_dim": 16}, False),
    ):
        changed = style.get_config("tiny")
        task, full = planned(changed, **changes)
        assert ({json.dumps(one.decided_by) for one in programs_of(task, full, 4, print)} == {kept}) == same


def test_what_was_compiled_before_an_interruption_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def trace(batch_size: int) -> Any:
        tried.append(batch_size)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return TooLarge(batch_size, 100)

    replaced(monkeypatch, trace)
    config = completed(style.get_config("tiny"))
    with pytest.raises(KeyboardInterrupt):
        planner.plan("a", config, V5E, quick=False)
    before = tried[:2]
    planner.plan("a", config, V5E, quick=False)
    assert tried[3] == tried[2]
    assert not set(before) & set(tried[3:])


class TooLarge:
    """What is traced, but does not compile with batches of more than some rows."""

    def __init__(self, batch_size: int, most: int):
        self.batch_size, self.most, self.traced = batch_size, most, product(batch_size)

    def lower(self) -> Any:
        return self

    @property
    def jaxpr(self) -> Any:
        return self.traced.jaxpr

    def compile(self) -> Any:
        if self.batch_size > self.most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm.")
        return self.traced.lower().compile()


@pytest.mark.parametrize(("most", "said"), [(4, "4 is the largest that fits"), (3, "not even one example a chip fits")])
def test_a_batch_that_does_not_fit_is_refused_with_the_largest_that_does(
    monkeypatch: pytest.MonkeyPatch, most: int, said: str
) -> None:
    replaced(monkeypatch, lambda batch_size: TooLarge(batch_size, most))
    refused = rf"^generator needs more memory than the 15.75 GiB that a v5e has for it, with batches of 8 \({said}\)"
    with pytest.raises(BadInput, match=refused):
        planner.plan("a", completed(style.get_config("tiny")), V5E, quick=False)


def test_the_largest_batch_is_tried_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def trace(batch_size: int) -> Any:
        tried.append(batch_size)
        return TooLarge(batch_size, 100)

    replaced(monkeypatch, trace)
    plan = planner.plan("a", completed(style.get_config("tiny")), V5E, quick=False)
    # Round numbers of rows a chip: 24 and 26 of four chips each.
    assert (plan.largest, plan.largest_batch) == (Largest(24, 26), 96)
    assert {96, 104} <= set(tried)
    # Rows are compared in groups of four, so a single chip takes multiples of four.
    tried.clear()
    one = planner.plan("a", completed(splice_loops.get_config("tiny")), Topology.parse("h100:1"), quick=False)
    assert (one.largest, one.largest_batch) == (Largest(96, 104), 96)
    assert all(batch_size % 4 == 0 for batch_size in tried)


def test_tiles_of_a_tpu_are_counted() -> None:
    """The state is what libtpu 0.0.42.1 has as arguments of a step, to the byte."""
    site = site_of(splice_loops.get_config("tiny"))
    assert site.bytes_a_chip(site.task.shapes) == 16_600_064
    assert bytes_on("tpu", (), 4) == 512
    assert bytes_on("tpu", (3,), 4) == 512
    assert bytes_on("tpu", (3, 3, 64, 64), 4) == 9 * 64 * 128 * 4
    # Two of these axes fill a tile of 2 x 128, and two tiles of 8 x 128.
    assert bytes_on("tpu", (2, 5, 128), 4) == 2 * 5 * 128 * 4
    assert bytes_on("tpu", (10, 128), 2) == 16 * 128 * 2
    assert [bytes_on("tpu", (1500,), size) for size in (4, 2)] == [8192, 4096]
    assert bytes_on("tpu", (300, 17), 2) == 18_432
    assert bytes_on("tpu", (100,), 1) == 512
    assert bytes_on("cuda", (3, 5), 4) == 60


def test_rows_that_are_no_whole_groups_are_planned_too() -> None:
    """Six rows a chip, compared in groups of four over all chips."""
    site = site_of(splice_loops.get_config("tiny"), Topology.parse("v5e:2x4"), **{"train.batch_size": 48})
    one = next(program for program in Tracing(site).programs(6, print) if program.name == "r1")
    assert (one.scale, one.trace().args_info[0][1]["x"].shape[0]) == (6 / 8, 8)


def test_what_samples_and_evaluations_share_is_counted_twice() -> None:
    same = {"logging.samples_every": 20, "evaluation.every": 20, "evaluation.metrics": ("fid:log_mel",)}
    task, config = planned(style.get_config("tiny"), **same)
    sampler = next(one for one in programs_of(task, config, 4, print) if one.name == "sampler")
    # In forty steps, twice four samples and twice 32 sounds, eight at once.
    assert sampler.runs == 2 * (1 + 4)


def test_what_is_no_gan_and_what_chips_do_not_divide() -> None:
    with pytest.raises(BadInput, match=r"config\.task\.kind is 'classifier'; only the training of a GAN is planned"):
        completed(drum_classifier.get_config("tiny"))
    with pytest.raises(BadInput, match=r"use a multiple of 4"):
        site_of(style.get_config("tiny"), **{"train.batch_size": 6})
    with pytest.raises(BadInput, match=r"fsdp=3, which does not fit the 4"):
        site_of(style.get_config("tiny"), **{"mesh.fsdp": 3})
    with pytest.raises(BadInput, match=r"on 2 slices; `data` must be a multiple of 2"):
        site_of(style.get_config("tiny"), Topology.parse("2xv5e:2x2"), **{"mesh.fsdp": 8})


def test_attributes_are_planned_too() -> None:
    task, config = planned(style.get_config("tiny"), **{"task.attributes": ("brightness",)})
    assert task.gan.generator.num_labels == 4
    assert batch_shapes(task, config)["attributes"].shape == (8, 1)
    assert jnp.float32 == task.gan.generator.compute_dtype


def test_what_is_missing_for_an_evaluation_is_said() -> None:
    said: list[str] = []
    task, config = planned(style.get_config("tiny"), **{"evaluation.every": 10, "evaluation.metrics": ("fid:vggish",)})
    assert [one.name for one in programs_of(task, config, 4, said.append)] == ["generator", "discriminator", "sampler"]
    (sentence,) = said
    assert sentence.startswith("evaluations are left out of the plan: the weights of vggish")


def test_a_quick_plan_is_of_the_chips_asked_for() -> None:
    """Of the shapes of one chip, in its dtype, and with the runs of the whole."""
    asked = {"evaluation.every": 10, "evaluation.num_samples": 256, "evaluation.metrics": ("fid:drums",)}
    config = style.get_config("tiny")
    config.update_from_flattened_dict(asked)
    plan = planner.plan("a", completed(config), H100, quick=True)
    assert (plan.quick, plan.dtype, plan.mesh) == (True, "bfloat16", {"data": 4, "fsdp": 1})
    of = {one.name: one for one in plan.programs}
    task, _ = planned(config)
    assert {name: of[name].runs for name in ("generator", "discriminator")} == task.runs(40)
    # Four evaluations of 256 sounds, of a window each, 32 on each of four chips.
    assert of["embedder drums"].runs == 4 * 2
    step = of["discriminator"].measures
    trained = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(task.shapes.discriminator))
    assert step.collectives == {"all-reduce": trained}
    # The state, and of a chip two examples of 2,048 samples and three classes.
    assert step.arguments == plan.state + 4 * 2 * (2048 + 3)
    assert of["embedder drums"].beside == plan.state
    assert 0 < of["sampler"].beside < plan.state
    assert all(one.measures.bytes_accessed > one.measures.temporaries for one in plan.programs)
    assert plan.fits
