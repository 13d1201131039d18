"""Figures compiled for the devices of a mesh, against the host's in float64."""

import dataclasses
import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import jax
import jax.experimental.topologies
import jax.export
import numpy as np
import pytest
from evaluation_cases import linear_embedder, noises, stream
from jax.sharding import Mesh, NamedSharding

from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.evaluation import compiled
from drumgan_jax.evaluation import suite as suites
from drumgan_jax.evaluation.arithmetic import HOST, arithmetic_of, on_devices
from drumgan_jax.evaluation.compiled import frechet, kernel, neighbours, placing
from drumgan_jax.evaluation.compiled import inception_score as scores
from drumgan_jax.evaluation.frechet import frechet_distances, frechet_figure, frechet_infinity
from drumgan_jax.evaluation.inception_score import inception_score
from drumgan_jax.evaluation.intervals import Figure
from drumgan_jax.evaluation.kernel import kernel_distance
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.neighbours import neighbour_metrics
from drumgan_jax.evaluation.suite import Suite

AGREEMENT = 1e-4


@pytest.fixture(scope="module", params=[1, 4])
def mesh(request: pytest.FixtureRequest) -> Mesh:
    count = request.param
    return jax.make_mesh((count, 1), ("data", "fsdp"), devices=jax.devices()[:count])


def embeddings(count: int, dimensions: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """As rectifiers make them, far from the origin, of unlike strength."""
    strength = np.random.default_rng(99).gamma(0.5, 1.0, dimensions)
    drawn = np.random.default_rng(seed).standard_normal((count, dimensions))
    return ((np.maximum(drawn + 0.3 + shift, 0) + 2) * strength).astype(np.float32)


def same(found: Figure, expected: Figure) -> None:
    for field in ("value", "low", "high"):
        assert getattr(found, field) == pytest.approx(getattr(expected, field), rel=AGREEMENT), field
    assert found.interval == expected.interval
    if expected.standard_deviation is not None:
        assert found.standard_deviation == pytest.approx(expected.standard_deviation, rel=AGREEMENT, abs=1e-9)


def test_the_frechet_distance_and_its_interval(mesh: Mesh) -> None:
    real = Moments.of(embeddings(203, 24, 0))
    groups = [Moments.of(part) for part in np.array_split(embeddings(101, 24, 1, 0.1), 10)]
    same(frechet_figure(real, groups, distances=on_devices(mesh).distances), frechet_figure(real, groups))


def test_distances_of_nearly_singular_covariances(mesh: Mesh) -> None:
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    # Deviations from 1 to 1e-11 of it, two equal dimensions, and one that is constant.
    falling = rng.standard_normal((200, 24)) * np.logspace(0, -11, 24) @ turn
    falling[:, 3] = falling[:, 4]
    falling[:, 5] = 7.0
    few, one, full = rng.standard_normal((9, 24)), np.ones((1, 24)), rng.standard_normal((150, 24))
    sets = [Moments.of(x) for x in (falling, falling + 1e-3 * full[:1], few, one, full)]
    for a in sets:
        expected = frechet_distances(a, sets)
        # Eigenvalues are known to 1e-16 of the largest, and their roots, of which there are 24, to 1e-8.
        floor = 24e-8 * (np.trace(a.covariance) + 1)
        np.testing.assert_allclose(compiled.frechet_distances(mesh, a, sets), expected, rtol=AGREEMENT, atol=floor)


def test_the_distance_extrapolated_to_infinitely_many(mesh: Mesh) -> None:
    real, rows, on = Moments.of(embeddings(203, 24, 0)), embeddings(160, 24, 1, 0.1), on_devices(mesh)
    for sounds in (None, np.repeat(np.arange(32), 5)):
        figure, slope, r2 = frechet_infinity(real, rows, sounds=sounds)
        found = frechet_infinity(real, rows, sounds=sounds, distances=on.distances, moments=on.moments)
        same(found[0], figure)
        assert found[1:] == pytest.approx((slope, r2), rel=AGREEMENT)


# Subsets of few among many samples, and of many among few.
@pytest.mark.parametrize(("subsets", "size"), [(5, 30), (22, 80)])
def test_the_kernel_distance_and_its_interval(mesh: Mesh, subsets: int, size: int) -> None:
    real, fake, on = embeddings(203, 24, 0), embeddings(101, 24, 1, 0.1), on_devices(mesh)
    unlike = np.repeat(np.arange(40), np.random.default_rng(4).integers(1, 9, 40))[:101]
    for of_real, of_fake in ((None, None), (np.repeat(np.arange(29), 7), unlike)):
        kinds = {"real_sounds": of_real, "fake_sounds": of_fake}
        expected = kernel_distance(real, fake, subsets, size, **kinds)
        found = kernel_distance(
            real, fake, subsets, size, **kinds, over_subsets=on.over_subsets, within_sounds=on.within_sounds
        )
        same(found, expected)


@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_with_ties_and_duplicates(mesh: Mesh, k: int) -> None:
    rng, find = np.random.default_rng(5), on_devices(mesh).neighbourhoods
    x, y = embeddings(203, 24, 0), embeddings(101, 24, 1, 0.1)
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3) / 7 + 1 / 3
    repeated = np.concatenate([np.repeat(x[:3], 7, axis=0), x[3:40]])
    near = np.argsort(((x[:, None] - x[None]) ** 2).sum(-1), axis=1)[:, k]
    for real, fake in ((x, y), (y, x), (x, x[near]), (grid, grid[::2]), (repeated, y), (y, repeated)):
        expected, told = neighbour_metrics(real, fake, k)
        found, also_told = neighbour_metrics(real, fake, k, find=find)
        assert found == expected
        assert also_told == told
    sounds = np.sort(rng.integers(0, 30, 203))
    assert neighbour_metrics(x, y, k, real_sounds=sounds, find=find) == neighbour_metrics(x, y, k, real_sounds=sounds)


def test_the_inception_score_and_its_interval(mesh: Mesh) -> None:
    rng, by_device = np.random.default_rng(6), on_devices(mesh).scores
    logits = (4 * rng.standard_normal((203, 7)) + 50).astype(np.float32)
    same(inception_score(logits, scores=by_device), inception_score(logits))
    sounds = np.sort(rng.integers(0, 40, 203))
    same(inception_score(logits, sounds=sounds, scores=by_device), inception_score(logits, sounds=sounds))
    impossible = np.concatenate([logits, np.full((203, 1), -1e5, np.float32)], axis=1)
    same(inception_score(impossible, scores=by_device), inception_score(logits))
    certain = 1e4 * np.eye(7, dtype=np.float32)[np.arange(203) % 7]
    same(inception_score(certain, scores=by_device), inception_score(certain))


def test_five_hundred_of_two_thousand_dimensions() -> None:
    on, one = (on_devices(jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])) for count in (4, 1))
    real, fake = embeddings(500, 2048, 0), embeddings(500, 2048, 1, 0.05)
    a, b = Moments.of(real), Moments.of(fake)
    np.testing.assert_allclose(one.distances(a, [b]), frechet_distances(a, [b]), rtol=AGREEMENT)
    (found,) = on.moments(fake, [np.arange(500)])
    np.testing.assert_allclose(found.scatter, b.scatter, rtol=1e-9, atol=1e-9 * np.abs(b.scatter).max())
    same(
        kernel_distance(real, fake, 8, 200, over_subsets=on.over_subsets),
        kernel_distance(real, fake, 8, 200),
    )
    assert neighbour_metrics(real, fake, find=on.neighbourhoods) == neighbour_metrics(real, fake)


def programs(mesh: Mesh) -> dict[str, tuple[Callable[..., object], list[jax.ShapeDtypeStruct]]]:
    """Everything that is compiled, with small arguments of more rows than dimensions, or fewer."""

    def whole(dtype: str, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, placing.WHOLE))

    def parts(dtype: str, *shape: int, axis: int = 0) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, placing.split(mesh, axis)))

    real, number = "float64", whole("float64")
    points = [whole("float32", 40, 300), whole(real, 40)]
    split_points = [parts("float32", 64, 300), parts(real, 64)]
    moments = [whole("int32"), whole(real, 300), whole(real, 300, 300)]
    others = [parts("int32", 4), parts(real, 4, 300), parts(real, 4, 300, 300)]
    sides = [parts(real, 64, 300), parts(real, 32, 300), whole("int32"), whole("int32")]
    bound = functools.partial
    return {
        "distances": (bound(frechet.distances, mesh, 299, 1e-11), [*moments, *others]),
        "moments": (bound(frechet.moments, mesh), [parts("float32", 64, 300), parts("bool", 5, 64, axis=1)]),
        "kernel of all": (
            bound(kernel.by_blocks, mesh, True, 8),
            [*split_points, parts("float32", 64, 6), *points, whole("float32", 40, 6), number],
        ),
        "kernel of subsets": (
            bound(kernel.by_subsets, mesh, True),
            [*points, *points, number, parts("int32", 8, 10), parts("int32", 8, 10)],
        ),
        "kernel within sounds": (
            bound(kernel.within_sounds, mesh),
            [parts("int32", 40), *points, whole("int32", 40), whole("int32"), number],
        ),
        "neighbourhoods": (bound(neighbours.neighbourhoods, mesh, 5, 8, 1e-12), sides),
        "scores": (bound(scores.scores, mesh), [parts("float32", 64, 7), parts(real, 10, 64, axis=1)]),
    }


def test_every_program_is_lowered_for_gpus_and_tpus() -> None:
    with jax.enable_x64(True):
        for name, (function, arguments) in programs(jax.make_mesh((4,), ("data",))).items():
            exported = jax.export.export(jax.jit(function), platforms=["cuda", "tpu"])(*arguments)
            assert exported.nr_devices == 4, name
            text = exported.mlir_module()
            assert "f64" in text, name


# Plugins that compile ahead of time without their devices (`pip install libtpu jax-cuda12-plugin jax-cuda12-pjrt`), and
# what is compiled for: four chips of a TPU v5e, or four H100.
TOPOLOGIES = {
    "libtpu": {"platform": "tpu", "topology_name": "v5e:2x2"},
    "jax_cuda12_plugin": {
        "platform": "cuda",
        "topology_name": "1x1x4",
        "topology": "1x1x4",
        "target_config": """
            gpu_device_info {
              threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
              shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
              core_count: 132 fpus_per_core: 128 registers_per_core_limit: 65536 registers_per_block_limit: 65536
              block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
              memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
              device_memory_size: 84978434048 cuda_compute_capability { major: 9 }
            }
            platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 } runtime_version { major: 12 minor: 8 }
        """,
    },
}


@pytest.mark.parametrize("plugin", TOPOLOGIES)
def test_every_program_compiles_for_a_topology(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(plugin)
    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "1")
    topology = jax.experimental.topologies.get_topology_desc(**TOPOLOGIES[plugin])
    mesh = Mesh(np.array(topology.devices), ("data",))
    assert len(topology.devices) == 4
    # Without its devices, such a program cannot be read back from the compilation cache.
    kept_from = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1e9)
    try:
        with jax.enable_x64(True):
            for name, (function, arguments) in programs(mesh).items():
                program = jax.jit(function).lower(*arguments).compile()
                assert program.memory_analysis().temp_size_in_bytes < 2**28, name
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", kept_from)


def test_the_platform_of_the_devices_chooses() -> None:
    sharding = batch_sharding(make_mesh())
    assert arithmetic_of(sharding) is HOST
    assert arithmetic_of(None) is HOST
    suite = Suite.of(["fid:drums"], sharding)
    assert suite.arithmetic is HOST
    tpu = SimpleNamespace(mesh=SimpleNamespace(devices=np.array([SimpleNamespace(platform="tpu")]), size=1))
    assert arithmetic_of(cast(NamedSharding, tpu)).distances is not HOST.distances


def test_a_suite_on_devices_reports_what_the_hosts_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "build_embedder", linear_embedder)
    sharding = batch_sharding(make_mesh())
    names = [f"{metric}:linear" for metric in ("fid", "fad_inf", "kid", "is", "prdc")]
    on_host = Suite.of(names, sharding)
    sides = [on_host.embed(stream(noises(90, seed, level=level))) for seed, level in ((1, 0.3), (2, 0.35))]
    expected = on_host.compare(*sides)
    found = dataclasses.replace(on_host, arithmetic=on_devices(sharding.mesh)).compare(*sides)
    assert found.warnings == expected.warnings
    for name, figure in expected.figures.items():
        for field, value in figure.items():
            if isinstance(value, float):
                # All subsets are the whole set, so they differ by rounding alone.
                floor = 1e-6 * abs(figure["value"])
                assert found.figures[name][field] == pytest.approx(value, rel=AGREEMENT, abs=floor), (name, field)
            else:
                assert found.figures[name][field] == value, (name, field)
