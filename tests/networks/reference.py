"""StyleGAN2's formulas in NumPy float64, channels last, written out with loops: what the parity tests compare with."""

import jax
import jax.numpy as jnp
import numpy as np

BLUR = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def correlate(x, kernel, stride=1):
    """Valid correlation of [batch, freq, time, in] with [size, size, in, out]."""
    rows, columns = kernel.shape[:2]
    freq, time = (x.shape[1] - rows) // stride + 1, (x.shape[2] - columns) // stride + 1
    y = np.zeros((x.shape[0], freq, time, kernel.shape[3]))
    for p in range(freq):
        for q in range(time):
            window = x[:, p * stride : p * stride + rows, q * stride : q * stride + columns]
            y[:, p, q] = np.einsum("brsi,rsio->bo", window, kernel)
    return y


def pad(x, before, after):
    return np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))


def zero_insert(x):
    y = np.zeros((x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]))
    y[:, ::2, ::2] = x
    return y


def fir(x, before, after, gain):
    """True convolution of every channel with the blur, after padding with zeros."""
    channels = x.shape[3]
    kernel = (gain * BLUR[::-1, ::-1])[:, :, None, None] * np.eye(channels)
    return correlate(pad(x, before, after), kernel)


def upsample(x):
    return fir(zero_insert(x), 2, 1, gain=4)


def downsample(x):
    return fir(x, 1, 1, gain=1)[:, ::2, ::2]


def up_convolution(x, kernel):
    """All padding at once (the blur's and the convolution's), then the blur, then a valid convolution."""
    blurred = fir(zero_insert(x), 2 + 1, 1 + 1, gain=4)
    return correlate(blurred, kernel[::-1, ::-1])


def down_convolution(x, kernel):
    return correlate(fir(x, 1 + 1, 1 + 1, gain=1), kernel, stride=2)


def same(x, kernel):
    return correlate(pad(x, kernel.shape[0] // 2, kernel.shape[0] // 2), kernel)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


def dense(x, parameters, lr_multiplier=1.0):
    kernel, bias = np.asarray(parameters["kernel"], np.float64), np.asarray(parameters["bias"], np.float64)
    return x @ (kernel * lr_multiplier / np.sqrt(len(kernel))) + bias * lr_multiplier


def normalized(x):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-8)


def mapping(z, labels, parameters, lr_multiplier):
    parts = [] if z is None else [normalized(z)]
    if labels is not None:
        parts.append(normalized(dense(labels, parameters["embed"])))
    x = np.concatenate(parts, axis=-1)
    for i in range(sum(name.startswith("dense_") for name in parameters)):
        x = leaky(dense(x, parameters[f"dense_{i}"], lr_multiplier))
    return x


def modulated(x, kernel, styles, up, demodulate=True):
    """Each example with a kernel of its own: the kernel is modulated and demodulated, not the activations."""
    outputs = []
    for example, style in zip(x, styles, strict=True):
        own = kernel * style[None, None, :, None]
        if demodulate:
            own = own / np.sqrt((own**2).sum(axis=(0, 1, 2)) + 1e-8)
        outputs.append((up_convolution if up else same)(example[None], own)[0])
    return np.stack(outputs)


def styled(x, w, noise, parameters, up):
    styles = dense(w, parameters["style"])
    x = modulated(x, np.asarray(parameters["kernel"], np.float64), styles, up)
    if noise is not None:
        x = x + float(parameters["noise_strength"]) * noise
    return leaky(x + np.asarray(parameters["bias"], np.float64))


def to_output(x, w, parameters):
    kernel = np.asarray(parameters["kernel"], np.float64)
    styles = dense(w, parameters["style"]) / np.sqrt(x.shape[-1])
    return modulated(x, kernel, styles, up=False, demodulate=False) + np.asarray(parameters["bias"], np.float64)


def synthesize(ws, parameters):
    """The skip generator without noise: ws [batch, num_ws, w_dim] and the "params" of a Generator."""
    x = np.repeat(np.asarray(parameters["constant"], np.float64)[None], len(ws), axis=0)
    image, index, level = 0.0, 0, 0
    while f"blocks_{level}" in parameters:
        block = parameters[f"blocks_{level}"]
        for name in ("up", "same"):
            if name in block:
                x = styled(x, ws[:, index], None, block[name], up=name == "up")
                index += 1
        if level:
            image = upsample(image)
        # Not counted on: the next block's first convolution reads this index too.
        image = image + to_output(x, ws[:, index], block["output"])
        level += 1
    return image


def convolution(x, parameters, down=False, activate=True, gain=1.0):
    kernel = np.asarray(parameters["kernel"], np.float64)
    kernel = kernel / np.sqrt(np.prod(kernel.shape[:3]))
    if down and kernel.shape[0] == 1:
        x = correlate(downsample(x), kernel)
    else:
        x = (down_convolution if down else same)(x, kernel)
    if activate:
        x = leaky(x + np.asarray(parameters["bias"], np.float64))
    return x * gain


def minibatch_stddev(x, group):
    """Example by example: its group are those at the same place modulo batch / group."""
    batch = len(x)
    group = min(group, batch)
    statistic = np.zeros((*x.shape[:3], 1))
    for i in range(batch):
        members = [j for j in range(batch) if j % (batch // group) == i % (batch // group)]
        statistic[i] = np.sqrt(x[members].var(axis=0) + 1e-8).mean()
    return np.concatenate([x, statistic], axis=-1)


def discriminate(x, labels, parameters, group):
    """The residual discriminator: x [batch, freq, time, channels] and the "params" of a Discriminator."""
    x = convolution(x, parameters["input"])
    for level in range(sum(name.startswith("block_") for name in parameters), 0, -1):
        block = parameters[f"block_{level}"]
        skip = convolution(x, block["skip"], down=True, activate=False) * np.sqrt(0.5)
        x = convolution(x, block["same"])
        x = skip + convolution(x, block["down"], down=True) * np.sqrt(0.5)
    x = convolution(minibatch_stddev(x, group), parameters["last"])
    x = leaky(dense(x.reshape(len(x), -1), parameters["dense"]))
    x = dense(x, parameters["score"])
    if labels is None:
        return x[:, 0]
    direction = mapping(None, labels, parameters["label_mapping"], lr_multiplier=0.01)
    return (x * direction).sum(axis=-1) / np.sqrt(x.shape[-1])


def random_variables(network, *inputs):
    """Variables with all parameters away from their initial zeros and ones, so that every term counts; not compiled."""
    random = np.random.default_rng(0)

    def draw(path, leaf):
        name = jax.tree_util.keystr(path)
        # What the mapping scales by 0.01 is stored a hundred times larger.
        scale = 100 if "mapping" in name and "dense_" in name else 1
        value = random.normal(size=leaf.shape) * (scale if "kernel" in name else 0.3 * scale)
        return jnp.asarray(value + ("style" in name and "bias" in name), jnp.float32)

    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return {"params": jax.tree_util.tree_map_with_path(draw, shapes["params"])}
