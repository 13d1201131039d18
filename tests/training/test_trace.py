"""Operations in traces: their own time, their calls, their places; on CPUs as recorded, on TPUs as hand-made."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.profiler import ProfileData

from drumgan_jax.training.trace import read_layers, read_operations, self_times

LOOPS = 5


def message(*fields: tuple[int, bytes | int | str]) -> bytes:
    """A protocol buffer of these fields, with numbers and lengths below 16,384."""
    written = bytearray()
    for number, value in fields:
        content = value.encode() if isinstance(value, str) else value
        if isinstance(content, int):
            written += varint(number << 3) + varint(content)
        else:
            written += varint(number << 3 | 2) + varint(len(content)) + content
    return bytes(written)


def varint(number: int) -> bytes:
    return bytes([number & 127 | 128, number >> 7]) if number > 127 else bytes([number])


def program(**layers: str) -> str:
    """A compiled program as text of a stat: a chain of operations, each read by the next."""
    instructions = [
        (
            2,
            message(
                (1, name), (7, message((2, layer))), (35, number), (36, varint(number - 1)), (36, varint(number - 1))
            ),
        )
        for number, (name, layer) in enumerate(layers.items(), start=1)
    ]
    content = message((1, message((1, "jit_f"), (3, message((1, "main"), *instructions)))))
    return "".join(f"\\{byte:03o}" for byte in content)


def line(name: str, *events: tuple[int, int, int]) -> str:
    """A line of events: number of the name, start and duration in nanoseconds."""
    written = "".join(f"events {{ metadata_id: {i} offset_ps: {s}000 duration_ps: {d}000 }} " for i, s, d in events)
    return f'lines {{ name: "{name}" {written} }} '


def named(*names: str) -> str:
    return "".join(
        f'event_metadata {{ key: {i} value {{ id: {i} name: "{name}" }} }} ' for i, name in enumerate(names, start=1)
    )


def stored(*programs: tuple[str, str]) -> str:
    """The plane of programs by name with number."""
    stat = "stats {{ metadata_id: 1 bytes_value: '{}' }}"
    entries = "".join(
        f'event_metadata {{ key: {i} value {{ id: {i} name: "{name}" {stat.format(content)} }} }} '
        for i, (name, content) in enumerate(programs, start=1)
    )
    return f'planes {{ name: "/host:metadata" {entries} }} '


def test_time_inside_is_not_counted_twice():
    #        loop,      its body twice,      an operation inside one,  after the loop
    spans = [(0, 100), (10, 40), (50, 90), (20, 30), (100, 130)]
    assert self_times(spans) == [30, 20, 40, 10, 30]
    order = [3, 1, 4, 0, 2]
    assert self_times([spans[i] for i in order]) == [[30, 20, 40, 10, 30][i] for i in order]
    assert self_times([]) == []


def test_own_times_add_up_to_the_time_in_which_anything_runs():
    rng = np.random.default_rng(0)
    # A tree: every span is cut at random into parts of which some are spans themselves.
    spans = [(0, 10_000), (20_000, 30_000)]
    for _ in range(200):
        start, end = spans[rng.integers(len(spans))]
        cut = np.sort(rng.integers(start, end + 1, 2))
        if all(end <= cut[0] or start >= cut[1] or (start <= cut[0] and cut[1] <= end) for start, end in spans):
            spans.append((int(cut[0]), int(cut[1])))
    busy = np.zeros(30_000, bool)
    for start, end in spans:
        busy[start:end] = True
    own = self_times(spans)
    assert len(spans) > 20
    assert sum(own) == busy.sum()
    assert min(own) >= 0


def test_operations_of_a_cpu(tmp_path: Path) -> None:
    @functools.partial(jax.jit, static_argnums=1)
    def step(x, times):
        def body(carry, _):
            with jax.named_scope("block_6"):
                return jnp.sin(carry @ carry), None

        return jax.lax.scan(body, x, None, length=times)[0]

    x = jnp.eye(64)
    jax.block_until_ready(step(x, LOOPS))
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with jax.profiler.trace(tmp_path, profiler_options=options):
        for _ in range(3):
            jax.block_until_ready(step(x, LOOPS))
    (path,) = tmp_path.rglob("*.xplane.pb")
    operations = read_operations(path.read_bytes())
    assert [operation.own_ns for operation in operations] == sorted((o.own_ns for o in operations), reverse=True)
    assert all(operation.own_ns >= 0 for operation in operations)
    (product,) = [operation for operation in operations if operation.layer.endswith("/dot_general")]
    assert product.layer.startswith("jit(step)/while/body/")
    assert "block_6" in product.layer
    assert product.calls == 3 * LOOPS
    (loop,) = [operation for operation in operations if operation.layer == "jit(step)/while" and operation.calls == 3]
    assert loop.own_ns < product.own_ns


def test_operations_of_a_tpu() -> None:
    events = ("jit_f(7)", "jit_f(8)", "%while.1 = (f32[8]{0}) while(...)", "%fusion.2 = f32[8]{0} fusion(...)")
    device = (
        named(*events)
        + line("XLA Modules", (1, 0, 100), (2, 100, 50))
        + line("XLA Ops", (3, 0, 90), (4, 10, 30), (4, 50, 30), (4, 110, 20))
        + line("Async XLA Ops", (4, 0, 1000))
    )
    text = stored(
        ("jit_f(7)", program(**{"while.1": "jit(f)/while", "fusion.2": "jit(f)/while/body/block_1/same"})),
        ("jit_f(8)", program(**{"fusion.2": "jit(f)/block_2/same", "add.1": "jit(f)/add"})),
    )
    text += "".join(f'planes {{ name: "/device:TPU:{i}" {device} }} ' for i in range(2))
    found = read_operations(ProfileData.text_proto_to_serialized_xspace(text))
    assert [(o.name, o.layer, o.own_ns, o.calls) for o in found] == [
        ("fusion.2", "jit(f)/while/body/block_1/same", 60, 2),
        ("while.1", "jit(f)/while", 30, 1),
        ("fusion.2", "jit(f)/block_2/same", 20, 1),
    ]


def test_a_program_from_the_cache_is_known_by_its_operations():
    names = enumerate(("hlo_op", "hlo_module", "program_id"), start=1)
    stats = "".join(f"stat_metadata {{ key: {i} value {{ id: {i} name: '{name}' }} }} " for i, name in names)
    called = "".join(
        f"events {{ metadata_id: 1 offset_ps: {i}000 duration_ps: 1000 stats {{ metadata_id: 1 str_value: '{name}' }} "
        "stats { metadata_id: 2 str_value: 'jit_f' } stats { metadata_id: 3 int64_value: 9 } } "
        for i, name in enumerate(("fusion.3", "add.1"))
    )
    cpu = f"planes {{ name: '/host:CPU' {named('call')} {stats} lines {{ name: 'thread' {called} }} }} "
    # 9 is the number that another program had where it was compiled.
    other = ("jit_f(9)", program(**{"fusion.2": "jit(f)/wrong", "add.1": "jit(f)/wrong"}))
    same = ("jit_f(5)", program(**{"fusion.3": "jit(f)/block_3", "add.1": "jit(f)/add"}))
    found = read_operations(ProfileData.text_proto_to_serialized_xspace(stored(other, same) + cpu))
    assert {o.name: o.layer for o in found} == {"fusion.3": "jit(f)/block_3", "add.1": "jit(f)/add"}
    alone = read_operations(ProfileData.text_proto_to_serialized_xspace(cpu))
    assert {o.name: o.layer for o in alone} == {"fusion.3": "", "add.1": ""}


def test_an_operation_without_a_place_has_that_of_what_it_reads():
    chain = program(**{"copy.1": "", "sin.2": "jit(f)/sin", "copy.3": "", "convolution.4": "", "add.5": "jit(f)/add"})
    (layers,) = read_layers(ProfileData.text_proto_to_serialized_xspace(stored(("jit_f(1)", chain)))).values()
    assert layers == {
        "sin.2": "jit(f)/sin",
        "copy.3": "from jit(f)/sin",
        "convolution.4": "from jit(f)/sin",
        "add.5": "jit(f)/add",
    }


def test_a_trace_without_operations_has_none():
    assert read_operations(b"") == []
    host = f'planes {{ name: "/host:CPU" {named("a")} {line("python", (1, 0, 5))} }}'
    assert read_operations(ProfileData.text_proto_to_serialized_xspace(host)) == []


def test_a_damaged_trace_is_refused():
    with pytest.raises((IndexError, KeyError, RuntimeError, ValueError)):
        read_operations(b"\x0a\xff")
