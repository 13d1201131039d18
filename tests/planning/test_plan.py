"""A plan's figures, by hand; the programs of every system; what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.configs import drum_classifier, drumgan_vst, electrogan, pca_gan, pjloopgan, splice_loops
from drumgan_jax.configs import style_drumsynth as style
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.planning import plan as plans
from drumgan_jax.planning.compiled import MeasuredProgram, Measures
from drumgan_jax.planning.plan import Plan, described
from drumgan_jax.planning.programs import batch_shapes, completed, task_of
from drumgan_jax.planning.report import screen, to_json
from drumgan_jax.planning.roofline import Span, span_of
from drumgan_jax.planning.topologies import Topology
from drumgan_jax.training.tasks.gan import GanTask

V5E = Topology.parse("v5e:2x2")
# A second of arithmetic, two of memory and three of links.
SLOW = Measures(2**30, 2**29, 2**31, 2**20, 197e12, 2 * 819e9, {"all-reduce": int(3 * 100e9)})


def planned(config: Any, **overrides: Any) -> tuple[GanTask, dict[str, Any]]:
    config.update_from_flattened_dict(overrides)
    full = completed(config)
    return task_of(full, make_mesh(**full["mesh"])), full


def plan_of(runs: int = 10, measures: Measures = SLOW) -> Plan:
    task, config = planned(style.get_config("tiny"))
    step = MeasuredProgram("generator", runs, True, 197e12, measures)
    sampler = MeasuredProgram("sampler", 2, False, 197e12, SLOW)
    return described("style_drumsynth:tiny", config, V5E, task, [step, sampler], {})


@pytest.mark.smoke
def test_the_time_of_a_program_lies_between_its_bounds() -> None:
    # Links are the longest of what may go on at once.
    assert span_of(197e12, SLOW, V5E.chip) == Span(3.0, 6.0)


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
    assert plan.peak == SLOW.peak + 2 * SLOW.code + plan.batches
    assert plan.batches == 3 * plan.example * 8 // 4
    assert plan.fits
    assert not plan_of(measures=Measures(0, 0, 2**34, 1, 1.0, 1.0, {})).fits


def test_the_state_is_what_a_chip_holds() -> None:
    """Everything on every chip; with fsdp, large arrays are split."""
    task, config = planned(style.get_config("tiny"))
    whole = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(task.shapes))
    assert described("a", config, V5E, task, [], {}).state == whole
    task, config = planned(splice_loops.get_config("full"), **{"mesh.fsdp": 4})
    large = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(task.shapes))
    assert large / 4 < described("a", config, V5E, task, [], {}).state < 0.3 * large


def test_the_screen_and_the_json_say_the_same() -> None:
    plan = plan_of()
    text = screen(plan, price=1.5)
    assert "style_drumsynth:tiny on v5e:2x2: 4 chips of 1 host, data 4, batches of 8, float32" in text
    assert "of 16 GiB, which fits" in text
    assert "0.01 to 0.02 hours for 320 images" in text
    assert "0.06 to 0.12 at 1.5 a chip-hour" in text
    assert "all-reduce 3e+05" in text
    assert "optimal" not in text
    found = json.loads(json.dumps(to_json(plan, price=1.5)))
    assert found["whole"] == {"least": 36.0, "most": 72.0}
    assert found["cost"]["most"] == pytest.approx(1.5 * 4 * 72 / 3600)
    assert found["programs"][0]["seconds"] == {"least": 3.0, "most": 6.0}
    assert found["programs"][0]["measures"]["collectives"] == {"all-reduce": 300_000_000_000}
    assert "cost" not in to_json(plan, price=None)
    assert "chip-hour" not in screen(plan, price=None)


@pytest.mark.parametrize("module", [drumgan_vst, electrogan, pca_gan, pjloopgan, splice_loops, style])
def test_every_system_is_planned_without_a_data_set(module: Any) -> None:
    task, config = planned(module.get_config("tiny"))
    shapes = batch_shapes(task, config)
    assert set(shapes) == set(task.keys)
    assert all(shape.shape[0] == config["train"]["batch_size"] for shape in shapes.values())
    assert described("a", config, V5E, task, [], {}).state > 0


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


def one_program(task: GanTask, config: dict[str, Any], of: Callable[[jax.Array], jax.Array]) -> list[Any]:
    shape = jax.ShapeDtypeStruct((8, 8), np.float32)
    return [plans.Program("generator", jax.jit(of).trace(shape), 5, True)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plans are made for the devices that are here, and kept in this folder."""
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path))
    monkeypatch.setattr(Topology, "devices", lambda self: jax.devices())
    monkeypatch.setattr(plans, "_versions", lambda topology: {})
    return tmp_path / "plans"


def test_a_plan_compiles_what_there_is_once(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(plans, "programs_of", lambda *given: one_program(*given, of=lambda x: x @ x))
    said: list[str] = []
    found = plans.plan("a", completed(style.get_config("tiny")), V5E, said.append)
    assert said == ["generator"]
    assert found.programs[0].measures.flops >= 2 * 8**3
    assert found.programs[0].operations == 2 * 8**3 / 4
    assert math.isfinite(found.images_per_second.most)
    assert plans.plan("a", completed(style.get_config("tiny")), V5E, said.append) == found
    assert said == ["generator"]
    longer = style.get_config("tiny")
    longer.train.total_images *= 2
    plans.plan("a", completed(longer), V5E, said.append)
    assert said == ["generator"] * 2
    for damaged in ("", "{}", '{"programs": [{"name": 1}]}', '{"programs": 3}'):
        for file in cache.iterdir():
            file.write_text(damaged)
        assert plans.plan("a", completed(style.get_config("tiny")), V5E) == found


def test_a_program_that_is_too_large_is_told_with_what_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    class TooLarge:
        def lower(self) -> "TooLarge":
            return self

        def compile(self) -> None:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm.")

    monkeypatch.setattr(plans, "programs_of", lambda *given: [plans.Program("r1", TooLarge(), 1, True)])
    with pytest.raises(
        BadInput, match=r"^r1 needs more memory than the 16 GiB of a v5e; lower config\.train\.batch_size"
    ):
        plans.plan("a", completed(style.get_config("tiny")), V5E)


def test_what_is_no_gan_and_what_chips_do_not_divide() -> None:
    with pytest.raises(BadInput, match=r"config\.task\.kind is 'classifier'; only the training of a GAN is planned"):
        completed(drum_classifier.get_config("tiny"))
    config = style.get_config("tiny")
    config.train.batch_size = 6
    with pytest.raises(BadInput, match=r"use a multiple of 4"):
        planned(config)


def test_attributes_are_planned_too() -> None:
    task, config = planned(style.get_config("tiny"), **{"task.attributes": ("brightness",)})
    assert task.gan.generator.num_labels == 4
    assert batch_shapes(task, config)["attributes"].shape == (8, 1)
    assert jnp.float32 == task.gan.generator.compute_dtype
