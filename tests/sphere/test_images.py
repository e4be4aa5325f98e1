"""Image sets: their sizes, labels and scaling, and the loader of larger sets on a small sample."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_sample_images

from afp_utils.sphere import images


@pytest.mark.parametrize(("make", "side", "least"), [(images.digits, 8, 1797), (images.photo_patches, 16, 1900)])
def test_bundled_sets(make, side, least):
    found = make()
    assert found.side == side
    assert found.squares.shape == (len(found.labels), side, side)
    assert len(found.labels) >= least
    assert set(found.labels) == {-1.0, 1.0}
    assert 0.4 < np.mean(found.labels == 1) < 0.6
    np.testing.assert_allclose(np.linalg.norm(found.x, axis=1), 1)


def test_labels_of_digits_are_parities():
    np.testing.assert_array_equal(images.digits().labels, 1 - 2 * (load_digits().target % 2))


@pytest.mark.parametrize("side", [16, 40])
def test_patches_are_blocks_of_the_photographs(side):
    """Cut out one by one, each centred and scaled by itself, in the order of reading."""
    rows, labels = [], []
    for label, photo in zip((-1.0, 1.0), load_sample_images().images):
        grey = photo.mean(axis=2)
        for top in range(0, grey.shape[0] - side + 1, side):
            for left in range(0, grey.shape[1] - side + 1, side):
                block = grey[top : top + side, left : left + side].ravel()
                if block.std() > 1e-6:
                    rows.append((block - block.mean()) / (block.std() * side))
                    labels.append(label)
    found = images.photo_patches(side)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(found.x, images.standardised(np.array(rows)), atol=1e-12)


def test_patches_forget_brightness_and_contrast():
    found = images.photo_patches(8)
    assert found.side == 8
    mean = found.x.mean(axis=1)  # the patch's own mean is gone, up to that of the mean patch
    assert np.abs(mean).max() < 0.05


def test_standardised_by_hand():
    rows = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 3.0]])  # mean (2, 1)
    expected = np.array([[1, -1], [-1, -1], [0, 2]]) / np.array([[np.sqrt(2)], [np.sqrt(2)], [2]])
    np.testing.assert_allclose(images.standardised(rows), expected)
    np.testing.assert_allclose(images.standardised(5 * rows - 7), expected)


def fake(data, target):
    def fetch(name, version, as_frame):
        assert (name, version, as_frame) == ("mnist_784", 1, False)
        return SimpleNamespace(data=data, target=target)

    return fetch


def test_loader_of_larger_sets():
    rng = np.random.default_rng(0)
    data, target = rng.uniform(0, 255, size=(30, 784)), np.array([str(k % 10) for k in range(30)])
    found = images.openml_images("mnist_784", 12, rng=rng, fetch=fake(data, target))
    assert found.x.shape == (12, 784) and found.side == 28
    chosen = np.random.default_rng(0)
    chosen.uniform(0, 255, size=(30, 784))
    order = chosen.choice(30, 12, replace=False)
    np.testing.assert_array_equal(found.labels, np.where(order % 2 == 0, 1.0, -1.0))
    np.testing.assert_allclose(found.x, images.standardised(data[order]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda rng, some: images.openml_images("mnist_784", 31, rng=rng, fetch=some),
            r"n must be in \[1, 30\], got 31",
        ),
        (
            lambda rng, some: images.openml_images("mnist_784", 3, rng=rng, fetch=fake(np.ones((4, 10)), np.zeros(4))),
            "square grey images",
        ),
        (lambda rng, some: images.photo_patches(1), r"side must be in \[2, 427\], got 1"),
        (
            lambda rng, some: images.standardised(np.ones((3, 4))),
            "rows from their mean must be positive and finite, got 0.0 at index 0",
        ),
        (lambda rng, some: images.standardised(np.full((3, 4), np.inf)), "rows must be finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match=message):
        call(rng, fake(rng.normal(size=(30, 784)), np.zeros(30, dtype=int)))
