import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.errors import StateError


def make(num_rows=23, *, offset=0, matrix=None):
    frame = pd.DataFrame({"id": np.arange(num_rows) + offset, "number": np.arange(num_rows)})
    inputs = {"c": rl.Columns(["number"])}
    if matrix is not None:
        inputs["f"] = rl.Features(matrix)
    return rl.Dataset(frame, inputs, target=rl.Column("number"), key="id")


def stream(loader, num_batches):
    epochs = itertools.chain.from_iterable(iter(loader) for _ in itertools.count())
    return [(batch.step, batch.epoch, batch.rows.tolist()) for batch in itertools.islice(epochs, num_batches)]


@pytest.mark.parametrize("last", ["keep", "drop", "pad"])
@settings(max_examples=15)
@given(num_rows=st.integers(4, 40), batch_size=st.integers(1, 9), seed=st.integers(0, 9))
def test_from_every_step_of_two_epochs_the_same_stream_goes_on(last, num_rows, batch_size, seed):
    if last == "drop" and batch_size > num_rows:
        return
    data = make(num_rows)
    loader = data.batches(batch_size, seed=seed, last=last)
    num_batches = 2 * len(loader) + 1
    whole = stream(data.batches(batch_size, seed=seed, last=last), num_batches + 4)
    batches = itertools.chain.from_iterable(iter(loader) for _ in itertools.count())
    for done in range(num_batches):
        state = json.loads(json.dumps(loader.state_dict()))
        again = data.batches(batch_size, seed=seed, last=last, engine=rl.Engine(num_threads=1, prefetch=done % 3))
        again.load_state_dict(state)
        assert again.state_dict() == state
        assert stream(again, 4) == whole[done : done + 4]
        next(batches)


@settings(max_examples=40)
@given(
    num_rows=st.integers(5, 60),
    first=st.tuples(st.integers(1, 7), st.integers(1, 3)),
    second=st.tuples(st.integers(1, 7), st.integers(1, 3)),
    data=st.data(),
)
def test_another_batch_or_world_size_goes_on_with_the_same_remaining_rows(num_rows, first, second, data):
    dataset = make(num_rows)

    def loaders(geometry):
        batch_size, world_size = geometry
        return [dataset.batches(batch_size, seed=3, last="pad", shard=(rank, world_size)) for rank in range(world_size)]

    def real_rows(batch):
        return [row for row, weight in zip(batch.rows.tolist(), batch.sample_weight.tolist(), strict=True) if weight]

    before = loaders(first)
    done = data.draw(st.integers(0, len(before[0]) - 1))
    delivered = []
    for loader in before:
        for batch in itertools.islice(iter(loader), done):
            delivered += real_rows(batch)
    states = [loader.state_dict() for loader in before]
    assert all(state == states[0] for state in states)
    rest = []
    for loader in loaders(second):
        loader.load_state_dict(states[0])
        rest += [row for batch in loader for row in real_rows(batch)]
    assert sorted(delivered + rest) == list(range(num_rows))


def test_a_state_is_small_flat_json_for_any_size_and_survives_a_second_resume(tmp_path):
    data = make(1000)
    loader = data.batches(7, seed=1)
    next(iter(loader))
    state = loader.state_dict()
    assert len(json.dumps(state)) < 1024
    assert all(isinstance(value, (int, bool, str)) for value in state.values())
    second = data.batches(5, seed=1)
    second.load_state_dict(state)
    next(iter(second))
    third = data.batches(11, seed=1)
    third.load_state_dict(json.loads(json.dumps(second.state_dict())))
    rows = [row for batch in third for row in batch.rows.tolist()]
    taken = data.batches(7, seed=1).batch(0).rows.tolist()
    assert len(rows) == 1000 - 7 - 5
    assert not set(rows) & set(taken)
    assert next(iter(third)).epoch == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: make().batches(4, seed=2), "seed was 1, is 2"),
        (lambda: make().batches(4, seed=1, shuffle=False), "shuffle was True, is False"),
        (lambda: make(24).batches(4, seed=1), "num_rows was 23, is 24"),
        (lambda: make(offset=1).batches(4, seed=1), "rows was 23:.*, is 23:"),
        (lambda: make().select(list(range(23))[::-1]).batches(4, seed=1), "rows was 23:.*, is 23:"),
        (lambda: make(matrix=np.zeros((23, 2))).batches(4, seed=1), "input:f was nothing, is 23x2"),
    ],
)
def test_a_state_of_other_data_or_another_order_is_refused_with_both_values(other, message):
    state = make().batches(4, seed=1).state_dict()
    loader = other()
    before = loader.state_dict()
    with pytest.raises(StateError, match=message):
        loader.load_state_dict(state)
    assert loader.state_dict() == before


def test_what_is_not_a_state_is_refused():
    loader = make().batches(4)
    with pytest.raises(StateError, match="has no 'format'"):
        loader.load_state_dict({})
    with pytest.raises(StateError, match="has format 99"):
        loader.load_state_dict({**loader.state_dict(), "format": 99})


def test_rows_appended_to_a_store_are_accepted_and_changed_ones_refused(tmp_path):
    path = tmp_path / "s.zarr"
    matrix = np.arange(46, dtype=np.float32).reshape(23, 2)
    rl.FeatureStore.write(path, matrix, keys=np.arange(23))

    def loader():
        frame = pd.DataFrame({"id": np.arange(23)})
        return rl.Dataset(frame, {"f": rl.Features(path, key="id")}, key="id").batches(4, seed=1)

    state = loader().state_dict()
    with rl.FeatureStore.open(path) as store:
        store.append(matrix[:3], keys=[100, 101, 102])
    loader().load_state_dict(state)
    rl.FeatureStore.write(path, matrix + 1, keys=np.arange(23), overwrite=True)
    with pytest.raises(StateError, match="input:f was"):
        loader().load_state_dict(state)


def test_prefetched_batches_do_not_count_as_delivered():
    data = make(40)
    with rl.Engine(num_threads=2, prefetch=8) as engine:
        loader = data.batches(4, seed=1, engine=engine)
        next(iter(loader))
        assert loader.state_dict()["rows_delivered"] == 4


@pytest.mark.parametrize(
    "change", [{"step": -3}, {"step": 99_999}, {"epoch": 4}, {"rows_delivered": 3}, {"step": "a"}, {"batch_size": 0}]
)
def test_a_state_that_contradicts_itself_is_refused_and_changes_nothing(change):
    loader = make().batches(4)
    next(iter(loader))
    before = loader.state_dict()
    with pytest.raises(StateError):
        loader.load_state_dict({**before, **change})
    assert loader.state_dict() == before


@pytest.mark.parametrize("state", [None, [], "state", {"format": 1}])
def test_what_is_no_dict_is_no_state(state):
    with pytest.raises(StateError):
        make().batches(4).load_state_dict(state)


def test_another_join_other_columns_and_other_classes_are_other_data():
    matrix = np.arange(46, dtype=np.float32).reshape(23, 2)
    frame = pd.DataFrame({"id": np.arange(23), "label": ["a", "b"] * 11 + ["a"]})

    def loader(frame=frame, columns=None, classes=("a", "b")):
        features = rl.Features(matrix, columns=columns)
        labels = rl.Labels("label", classes=classes)
        return rl.Dataset(frame, {"f": features}, target=labels, key="id").batches(4, seed=1)

    state = loader().state_dict()
    loader().load_state_dict(state)
    for other in (
        loader(frame.set_axis(np.arange(23)[::-1])),
        loader(columns=[1, 0]),
        loader(frame.assign(label=frame["label"].replace({"a": "c"})), classes=("c", "b")),
    ):
        with pytest.raises(StateError):
            other.load_state_dict(state)
