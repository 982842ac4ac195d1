"""Rendered depth is exact, its errors are those worked by hand, and a head can learn it."""

from __future__ import annotations

import numpy as np
import pytest

from lamofc.datasets.raycast import Box, Camera, Plane, Skin, Sphere, depth_map, picture
from lamofc.datasets.rendered_rooms import ROOM, scene
from lamofc.tasks import depth, depth_abs_rel, depth_delta

AHEAD = Camera(np.zeros(3), 0.0, 0.0, 0.0, focal=1.0)


def test_a_wall_ahead_has_one_depth_everywhere():
    assert np.allclose(depth_map(AHEAD, [Plane(2, 3.0, -1)], 8), 3.0)


def test_a_floor_recedes_with_the_height_over_the_slope_of_the_ray():
    found = depth_map(AHEAD, [Plane(1, 1.5, -1)], 8)
    slopes = (np.arange(8) + 0.5) / 8 - 0.5
    assert np.isinf(found[slopes < 0]).all()
    assert np.allclose(found[slopes > 0], (1.5 / slopes[slopes > 0])[:, None])


def test_a_turned_camera_sees_depth_along_its_own_axis():
    camera = Camera(np.zeros(3), np.pi / 2, 0.0, 0.0, 1.0)  # looks along +x
    assert np.allclose(depth_map(camera, [Plane(0, 2.0, -1)], 4), 2.0)
    camera = Camera(np.zeros(3), 0.0, -np.pi / 2, 0.0, 1.0)  # looks along +y, down
    assert np.allclose(depth_map(camera, [Plane(1, 1.2, -1)], 4), 1.2)


def test_a_ball_is_nearest_in_its_middle_by_its_radius():
    found = depth_map(AHEAD, [Sphere(np.array([0, 0, 4.0]), 1.0)], 101)
    assert found[50, 50] == pytest.approx(3.0, abs=1e-9) and found.min() == found[50, 50]
    step = 0.25 / 1.0 * 0.9  # a ray aside: |t (s, 0, 1) - (0, 0, 4)| = 1
    column = int((step + 0.5) * 101)
    s = (column + 0.5) / 101 - 0.5
    t = (4 - np.sqrt(16 - 15 * (1 + s * s))) / (1 + s * s)
    assert found[50, column] == pytest.approx(t, abs=1e-9)


def test_a_box_shows_its_face_and_a_turned_one_its_edge():
    half = np.full(3, 0.5)
    assert depth_map(AHEAD, [Box(np.array([0, 0, 3.0]), half)], 101)[50, 50] == pytest.approx(2.5)
    turned = Box(np.array([0, 0, 3.0]), half, np.pi / 4)
    assert depth_map(AHEAD, [turned], 101)[50, 50] == pytest.approx(3 - np.sqrt(0.5))


def test_light_falls_off_and_nearer_surfaces_hide_farther_ones():
    skins = [Skin(np.full((2, 2, 3), c), 1.0) for c in (0.2, 0.8)]
    surfaces = [Plane(2, 2.0, -1), Plane(2, 4.0, -1)]
    near = picture(AHEAD, surfaces, skins, np.zeros(3), 8)
    far = picture(AHEAD, surfaces[::-1], skins[::-1], np.zeros(3), 8)
    assert np.array_equal(near, far) and near.max() < 0.25 * 255
    assert near[4, 4].mean() > near[0, 0].mean()


def test_scenes_repeat_and_stay_within_their_limits():
    found = [scene(np.random.default_rng(s)) for s in (1, 1, 2)]
    maps = [depth_map(camera, surfaces, 48) for camera, surfaces, _ in found]
    assert np.array_equal(maps[0], maps[1]) and not np.array_equal(maps[0], maps[2])
    assert all(ROOM[0] <= m.min() and m.max() <= ROOM[1] for m in maps)


def test_errors_by_hand_leave_out_pixels_without_truth():
    truth = np.array([[2.0, 4.0], [0.0, 1.0]], np.float32)
    output = np.array([[2.0, 5.2], [9.0, 0.7]], np.float32)
    found = depth.errors(output, truth)
    assert found["rmse"] == pytest.approx(np.sqrt((1.2**2 + 0.3**2) / 3))
    assert found["abs_rel"] == pytest.approx((0.3 + 0.3) / 3)
    assert found["delta"] == pytest.approx(1 / 3)  # 1.3 and 1 / .7 are beyond 1.25


def test_damage_is_the_change_of_log_depth(tmp_path):
    (tmp_path / "dataset.json").write_text('{"chances":{"rmse":1.5,"abs_rel":0.5,"delta":0.25}}')
    task = depth.Task(tmp_path, tmp_path)
    reference = np.full((4, 4), 2.0, np.float32)
    assert task.damage(reference, reference) == 0 and not task.flipped(reference, reference)
    assert task.damage(reference * 1.1, reference) == pytest.approx(np.log(1.1), rel=1e-5)
    assert task.flipped(reference * 1.1, reference) and not task.flipped(reference * 1.04, reference)
    assert np.isfinite(task.damage(np.full((4, 4), np.nan, np.float32), reference))


@pytest.mark.parametrize(("module", "score", "chance"), [(depth, 0.5, 1.5), (depth_abs_rel, 0.2, 0.5),
                                                         (depth_delta, 90.0, 25.0)])  # fmt: skip
def test_each_measure_can_be_the_score_of_a_row(module, score, chance, tmp_path):
    (tmp_path / "dataset.json").write_text('{"chances":{"rmse":1.5,"abs_rel":0.5,"delta":0.25}}')
    task = module.Task(tmp_path, tmp_path)
    outcomes = {"rmse": np.array([0.4, 0.6]), "abs_rel": np.array([0.1, 0.3]), "delta": np.array([0.8, 1.0])}
    assert float(task.score(outcomes)) == pytest.approx(score) and task.chance == chance
