"""Inception-v3 against NumPy float64, written out in torchvision's layout, with the changes that FID makes."""

import jax
import numpy as np
import pytest
from torch_reference import TorchLayers, channels_last, pool, relu

from drumgan_jax.networks.inception_v3 import InceptionV3, average_pool, from_torch, maximum_pool

DIVISOR, CLASSES = 16, 5
POINT, ROW, COLUMN, THREE, FIVE = (1, 1), (1, 7), (7, 1), (3, 3), (5, 5)


class Reference(TorchLayers):
    def unit(self, name, x, width, kernel, stride=1, padding=None):
        padding = (kernel[0] // 2, kernel[1] // 2) if padding is None else padding
        x = self.conv(f"{name}.conv", x, width // DIVISOR, kernel, stride, padding, bias=False)
        return relu(self.batch_norm(f"{name}.bn", x, 1e-3))

    def chain(self, block, x, *layers):
        for name, width, kernel in layers:
            x = self.unit(f"{block}.{name}", x, width, kernel)
        return x

    def down(self, block, x, name, width):
        return self.unit(f"{block}.{name}", x, width, THREE, 2, (0, 0))

    def a(self, block, x, pooled):
        wide = self.chain(block, x, ("branch5x5_1", 48, POINT), ("branch5x5_2", 64, FIVE))
        double = (("branch3x3dbl_1", 64, POINT), ("branch3x3dbl_2", 96, THREE), ("branch3x3dbl_3", 96, THREE))
        mean = pool(x, 3, 1, 1, "mean")
        outputs = [self.chain(block, x, ("branch1x1", 64, POINT)), wide, self.chain(block, x, *double)]
        return np.concatenate([*outputs, self.chain(block, mean, ("branch_pool", pooled, POINT))], axis=1)

    def b(self, block, x):
        double = self.chain(block, x, ("branch3x3dbl_1", 64, POINT), ("branch3x3dbl_2", 96, THREE))
        outputs = [self.down(block, x, "branch3x3", 384), self.down(block, double, "branch3x3dbl_3", 96)]
        return np.concatenate([*outputs, pool(x, 3, 2)], axis=1)

    def c(self, block, x, width):
        single = (("branch7x7_1", width, POINT), ("branch7x7_2", width, ROW), ("branch7x7_3", 192, COLUMN))
        kernels = (POINT, COLUMN, ROW, COLUMN, ROW)
        widths = (width, width, width, width, 192)
        double = [(f"branch7x7dbl_{i + 1}", widths[i], kernels[i]) for i in range(5)]
        mean = self.chain(block, pool(x, 3, 1, 1, "mean"), ("branch_pool", 192, POINT))
        first = self.chain(block, x, ("branch1x1", 192, POINT))
        return np.concatenate([first, self.chain(block, x, *single), self.chain(block, x, *double), mean], axis=1)

    def d(self, block, x):
        single = self.chain(block, x, ("branch3x3_1", 192, POINT))
        double = self.chain(
            block, x, ("branch7x7x3_1", 192, POINT), ("branch7x7x3_2", 192, ROW), ("branch7x7x3_3", 192, COLUMN)
        )
        outputs = [self.down(block, single, "branch3x3_2", 320), self.down(block, double, "branch7x7x3_4", 192)]
        return np.concatenate([*outputs, pool(x, 3, 2)], axis=1)

    def e(self, block, x, kind):
        single = self.chain(block, x, ("branch3x3_1", 384, POINT))
        double = self.chain(block, x, ("branch3x3dbl_1", 448, POINT), ("branch3x3dbl_2", 384, THREE))
        forks = [
            self.chain(block, branch, (f"{name}{side}", 384, kernel))
            for branch, name in ((single, "branch3x3_2"), (double, "branch3x3dbl_3"))
            for side, kernel in (("a", (1, 3)), ("b", (3, 1)))
        ]
        first = self.chain(block, x, ("branch1x1", 320, POINT))
        last = self.chain(block, pool(x, 3, 1, 1, kind), ("branch_pool", 192, POINT))
        return np.concatenate([first, *forks, last], axis=1)

    def __call__(self, x):
        x = self.unit("Conv2d_1a_3x3", x, 32, THREE, 2, (0, 0))
        x = self.unit("Conv2d_2a_3x3", x, 32, THREE, 1, (0, 0))
        x = pool(self.unit("Conv2d_2b_3x3", x, 64, THREE), 3, 2)
        x = self.unit("Conv2d_3b_1x1", x, 80, POINT)
        x = pool(self.unit("Conv2d_4a_3x3", x, 192, THREE, 1, (0, 0)), 3, 2)
        for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = self.a(name, x, pooled)
        x = self.b("Mixed_6a", x)
        for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = self.c(name, x, width)
        x = self.e("Mixed_7b", self.d("Mixed_7a", x), "mean")
        x = self.e("Mixed_7c", x, "max").mean(axis=(2, 3))
        self.linear("fc", x, CLASSES)
        return x, x @ self.state["fc.weight"].T.astype(np.float64)


def test_inception_is_the_reference_of_frechet_inception_distance():
    reference = Reference()
    # Small, and odd enough that the last block still sees 3 x 3.
    pictures = np.random.default_rng(1).uniform(-1, 1, (2, 3, 139, 143))
    expected = reference(pictures)
    network = InceptionV3(CLASSES, DIVISOR)
    outputs = jax.jit(network.apply)(from_torch(reference.state, network), channels_last(pictures))
    assert outputs[0].shape == (2, 2048 // DIVISOR)
    for output, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.smoke
def test_pools_do_not_see_the_padding():
    x = -1.0 - np.random.default_rng(0).uniform(size=(1, 2, 4, 5))
    for function, kind in ((average_pool, "mean"), (maximum_pool, "max")):
        outputs = function(channels_last(x))
        np.testing.assert_allclose(outputs, channels_last(pool(x, 3, 1, 1, kind)), rtol=1e-6)


def test_the_published_network_has_2048_features_and_1008_scores():
    shape = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    features, scores = jax.eval_shape(lambda x: InceptionV3().init_with_output(jax.random.key(0), x)[0], shape)
    assert (features.shape, scores.shape) == ((1, 2048), (1, 1008))
