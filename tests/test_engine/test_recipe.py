"""Numbers that follow from the data."""

import pytest

from mmdistill.engine.recipe import recipe_for


def test_the_size_is_near_the_median_side():
    assert recipe_for(1000, 64, {}).size == 64
    assert recipe_for(1000, 60, {}).size == 64  # a little larger is no harm
    assert recipe_for(1000, 20, {}).size == 32
    assert recipe_for(1000, 3000, {}).size == 224
    assert recipe_for(1000, 3000, {}, fixed_size=32).size == 32


def test_small_data_has_more_epochs():
    epochs = [recipe_for(n, 64, {}).epochs for n in (20, 1000, 10**6)]
    assert epochs == [200, 12, 5]
    assert recipe_for(1000, 64, {}, has_gpu=True).epochs == 200


def test_a_batch_leaves_steps_and_the_rate_follows():
    small, large = recipe_for(80, 64, {}), recipe_for(10**5, 64, {})
    assert (small.batch_size, large.batch_size) == (8, 64)
    assert small.lr < large.lr < 1e-3


def test_memories_are_no_larger_than_the_data():
    losses = dict(
        crd=dict(type='CRDLoss', num_negatives=16384),
        seed=dict(type='SEEDLoss', queue_size=65536),
        kd=dict(type='KDLoss'),
    )
    assert recipe_for(1000, 64, losses).losses == {
        'crd.num_negatives': 256,
        'seed.queue_size': 512,
    }
    assert not recipe_for(10**6, 64, losses).losses


def test_what_is_given_is_taken_and_said():
    recipe = recipe_for(1000, 64, {}, epochs=3, lr=0.5, workers=0)
    assert (recipe.epochs, recipe.lr, recipe.workers) == (3, 0.5, 0)
    assert 'epochs 3: as given' in recipe.reasons
    with pytest.raises(ValueError, match='epochs=0'):
        recipe_for(1000, 64, {}, epochs=0)
