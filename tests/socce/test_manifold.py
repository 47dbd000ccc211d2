import numpy as np

from spondyl.socce.manifold import learn_diffusion_map


def test_the_extension_of_training_patients_is_exact():
    points = np.random.default_rng(1).normal(size=(150, 3))
    found = learn_diffusion_map(points)
    placed = np.array([found.place(p) for p in found.landmarks])
    np.testing.assert_allclose(placed, found.vectors, atol=1e-8)


def test_the_first_coordinate_follows_a_curve():
    t = np.sort(np.random.default_rng(2).uniform(0, 1.5 * np.pi, 300))
    points = np.column_stack([np.cos(t), np.sin(t)])
    first = learn_diffusion_map(points).vectors[:, 0]
    order = np.argsort(learn_diffusion_map(points).landmarks @ [0, 0] + first)
    assert abs(np.corrcoef(np.arange(300), np.argsort(order))[0, 1]) > 0.99


def test_far_away_is_still_a_place():
    found = learn_diffusion_map(np.random.default_rng(3).normal(size=(60, 2)))
    assert np.isfinite(found.place(np.array([1e4, -1e4]))).all()
