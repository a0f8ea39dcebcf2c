"""A run that is interrupted, or killed, and started again ends as the one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, StateError

keras = pytest.importorskip("keras")
import rowlock.keras  # noqa: E402 - only where Keras is

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

NUM_ROWS, BATCH_SIZE, EPOCHS = 52, 8, 3
STEPS = 7  # an epoch, the last batch short


class InterruptedRunError(Exception):
    """The process ends here."""


class InterruptAfter(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise InterruptedRunError


def dataset(num_rows=NUM_ROWS, seed=0):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(num_rows, 6)).astype(np.float32)
    frame = pd.DataFrame({"id": np.arange(num_rows), "y": matrix @ np.arange(6.0), "age": rng.normal(size=num_rows)})
    inputs = {"f": rl.Features(matrix), "age": rl.Columns(["age"])}
    return rl.Dataset(frame, inputs, target=rl.Column("y"), key="id")


def model_of(kind="schedule", *, rate=0.3, width=8, eagerly=True, loss="mse"):
    features, age = keras.Input((6,), name="f"), keras.Input((1,), name="age")
    hidden = keras.layers.Dense(width, activation="relu")(keras.layers.Concatenate()([features, age]))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dropout(rate)(hidden))
    model = keras.Model({"f": features, "age": age}, keras.layers.Dense(1)(hidden))
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 20)
    rate = schedule if kind == "schedule" else 0.05
    optimizer = keras.optimizers.Adam(rate, use_ema=kind == "plateau", ema_momentum=0.5)
    model.compile(optimizer, loss=loss, metrics=["mae"], run_eagerly=eagerly)
    return model


def callbacks_of(kind):
    if kind != "plateau":
        return []
    return [
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9),
        keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
    ]


def trained(path, kind="schedule", *, after=None, every=1, delivered=None, model=None, eagerly=True, **more):
    """Run the program once, as a process would: everything is made anew, from another random state."""
    seed_everything(1 if path is None or not path.exists() else int.from_bytes(os.urandom(2)))
    model = model or model_of(kind, eagerly=eagerly)
    data = dataset()
    loader, valid = data.batches(BATCH_SIZE, seed=4), data.select(range(20)).batches(BATCH_SIZE, shuffle=False)
    original = loader.count

    def count(made):
        original(made)
        if delivered is not None:
            delivered[made.batch.step] = made.batch.keys.tolist()

    loader.count = count
    callbacks = callbacks_of(kind) + ([InterruptAfter(after)] if after else [])
    resume = None if path is None else rowlock.keras.Resume(path, every)
    arguments = {"epochs": EPOCHS, "callbacks": callbacks, "verbose": 0, "resume": resume} | more
    history = rowlock.keras.fit(model, loader, valid, **arguments)
    return [np.asarray(keras.ops.convert_to_numpy(v.value)) for v in model.variables], history, loader


@pytest.mark.parametrize(("kind", "eagerly"), [("schedule", False), ("plateau", True)])
def test_a_run_that_is_interrupted_at_any_step_ends_as_one_that_is_not(kind, eagerly, tmp_path, time_limit):
    with time_limit(600):
        whole_rows, rows = {}, {}
        whole, history, _ = trained(None, kind, eagerly=eagerly, delivered=whole_rows)
        path = tmp_path / "run.state"
        for after in (5, STEPS + 2):  # of each life: within an epoch, and beyond its end
            with pytest.raises(InterruptedRunError):
                trained(path, kind, eagerly=eagerly, after=after, delivered=rows)
        resumed, resumed_history, loader = trained(path, kind, eagerly=eagerly, delivered=rows)
        assert rows == whole_rows
        assert resumed_history.history == history.history
        assert resumed_history.epoch == history.epoch
        for one, other in zip(whole, resumed, strict=True):
            assert np.array_equal(one, other)
        assert loader.step == EPOCHS * STEPS


def test_a_run_saved_by_epochs_goes_on_with_the_epoch_that_was_interrupted(tmp_path):
    rows, whole_rows = {}, {}
    whole, history, _ = trained(None, delivered=whole_rows)
    for _ in range(2):
        with pytest.raises(InterruptedRunError):
            trained(tmp_path / "a" / "run.state", after=STEPS + 3, every="epoch", delivered=rows)
    resumed, resumed_history, _ = trained(tmp_path / "a" / "run.state", every="epoch", delivered=rows)
    assert rows == whole_rows
    assert all(np.array_equal(one, other) for one, other in zip(whole, resumed, strict=True))
    assert resumed_history.history == history.history


def test_slices_of_steps_per_epoch_are_resumed_too(tmp_path):
    rows, whole_rows = {}, {}
    whole, history, _ = trained(None, delivered=whole_rows, steps_per_epoch=5)
    for _ in range(2):
        with pytest.raises(InterruptedRunError):
            trained(tmp_path / "run.state", after=3, every=2, delivered=rows, steps_per_epoch=5)
    resumed, resumed_history, _ = trained(tmp_path / "run.state", every=2, delivered=rows, steps_per_epoch=5)
    assert rows == whole_rows
    assert len(whole_rows) == 5 * EPOCHS
    assert all(np.array_equal(one, other) for one, other in zip(whole, resumed, strict=True))
    assert resumed_history.history == history.history


@pytest.mark.parametrize("kind", ["sequential", "subclass"])
def test_models_that_only_data_can_build_and_16_bits_go_on_too(kind, tmp_path):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = keras.Sequential([keras.layers.Dense(8, dtype="mixed_bfloat16"), keras.layers.Dropout(0.5)])
            self.head = keras.layers.Dense(1, dtype="bfloat16")

        def call(self, inputs, training=False):
            inputs = inputs["f"] if isinstance(inputs, dict) else inputs
            return self.head(self.body(inputs, training=training))

    def run(path, after=None):
        keras.utils.set_random_seed(1 if path is None or not path.exists() else 2)
        layers = [keras.layers.Dense(8, dtype="mixed_bfloat16"), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
        model = keras.Sequential(layers) if kind == "sequential" else Subclassed()
        model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"], run_eagerly=True)
        whole = dataset()
        data = rl.Dataset(whole.frame, {"f": rl.Features(np.eye(NUM_ROWS, dtype=np.float32))}, target=rl.Column("y"))
        resume = None if path is None else rowlock.keras.Resume(path, 1)
        callbacks = [] if after is None else [InterruptAfter(after)]
        history = rowlock.keras.fit(
            model, data.batches(8, seed=4), epochs=2, callbacks=callbacks, verbose=0, resume=resume
        )
        return history.history, [np.asarray(value, np.float32) for value in model.get_weights()]

    history, weights = run(None)
    with pytest.raises(InterruptedRunError):
        run(tmp_path / "run.state", 4)
    again, resumed = run(tmp_path / "run.state")
    assert again == history
    assert all(np.array_equal(one, other) for one, other in zip(weights, resumed, strict=True))


def test_the_same_model_may_go_on_in_the_same_process(tmp_path):
    keras.utils.set_random_seed(1)
    model, whole = model_of("plateau"), trained(None, "plateau")[0]
    for after in (STEPS + 2, 3):
        with pytest.raises(InterruptedRunError):
            trained(tmp_path / "run.state", "plateau", model=model, after=after)
    resumed = trained(tmp_path / "run.state", "plateau", model=model)[0]
    assert all(np.array_equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_a_finished_run_returns_at_once_and_goes_on_to_more_epochs(tmp_path):
    path, rows = tmp_path / "run.state", {}
    first, history, _ = trained(path)
    again, same_history, _ = trained(path, delivered=rows)
    assert rows == {}
    assert same_history.history == history.history
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    _, longer, _ = trained(path, delivered=rows, epochs=EPOCHS + 1)
    assert sorted(rows) == list(range(EPOCHS * STEPS, (EPOCHS + 1) * STEPS))
    assert longer.epoch == [0, 1, 2, 3]


def test_a_run_that_a_callback_stopped_stays_so(tmp_path):
    stop = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    _, history, _ = trained(tmp_path / "run.state", callbacks=[stop])
    assert len(history.epoch) < EPOCHS
    rows = {}
    _, again, _ = trained(tmp_path / "run.state", callbacks=[stop], delivered=rows)
    assert rows == {}
    assert again.epoch == history.epoch


def test_another_batch_size_continues_the_remaining_rows(tmp_path):
    path, rows, rest = tmp_path / "run.state", {}, {}
    with pytest.raises(InterruptedRunError):
        trained(path, after=3, delivered=rows)
    data = dataset()
    loader = data.batches(4, seed=4)
    original = loader.count
    loader.count = lambda made: (rest.update({made.batch.step: made.batch.keys.tolist()}), original(made))
    rowlock.keras.fit(model_of(), loader, epochs=1, verbose=0, resume=path)
    saved = [rows[0], rows[1]]  # the third was trained, and the process ended before it was saved
    seen = [key for batch in (*saved, *rest.values()) for key in batch]
    assert sorted(seen) == list(range(NUM_ROWS))
    assert len(next(iter(rest.values()))) == 4


def test_other_data_another_model_and_another_schedule_are_refused_with_both_values(tmp_path):
    path = tmp_path / "run.state"
    with pytest.raises(InterruptedRunError):
        trained(path, after=2)
    before = path.read_bytes()
    with pytest.raises(StateError, match=r"rate=0\.3.*rate=0\.5.*Nothing was changed"):
        trained(path, model=model_of(rate=0.5))
    with pytest.raises(StateError, match=r"units=8.*units=9"):
        trained(path, model=model_of(width=9))
    with pytest.raises(StateError, match="steps_per_epoch was None, is 5"):
        trained(path, steps_per_epoch=5)
    loader = dataset(51).batches(BATCH_SIZE, seed=4)
    with pytest.raises(StateError, match="rows was 52"):
        rowlock.keras.fit(model_of(), loader, epochs=1, verbose=0, resume=path)
    with pytest.raises(StateError, match="seed was 4, is 5"):
        rowlock.keras.fit(model_of(), dataset().batches(BATCH_SIZE, seed=5), epochs=1, verbose=0, resume=path)
    assert path.read_bytes() == before


def test_damage_is_found_and_what_was_there_stays(tmp_path):
    path = tmp_path / "run.state"
    with pytest.raises(InterruptedRunError):
        trained(path, after=2)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
        path.write_bytes(damaged)
        with pytest.raises(StateError, match=r"no state of a run, or damaged.*Move it away"):
            trained(path)
        assert path.read_bytes() == damaged


def test_a_full_disk_later_on_does_not_end_training(tmp_path, monkeypatch, caplog):
    from rowlock.keras import resuming

    written, original = [], resuming.write_state

    def write(*arguments):
        written.append(1)
        if len(written) in (3, 4):
            raise OSError(28, "No space left on device")
        original(*arguments)

    monkeypatch.setattr(resuming, "write_state", write)
    trained(tmp_path / "run.state")
    assert caplog.text.count("No space left") == 2
    assert len(written) > 10
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(OSError, match=r"file\.txt"):  # but one that can never be written is found at the beginning
        trained(tmp_path / "file.txt" / "run.state")


def test_a_loss_that_is_not_a_number_is_not_saved_over_a_good_state(tmp_path, caplog):
    factor = 1.0

    def loss(target, predicted):
        return keras.ops.mean(predicted + 0 * keras.ops.reshape(target, (-1, 1)), axis=-1) * factor

    path = tmp_path / "run.state"
    with pytest.raises(InterruptedRunError):
        trained(path, model=model_of(loss=loss), after=2)
    good = path.read_bytes()
    factor = float("nan")
    _, history, _ = trained(path, model=model_of(loss=loss), callbacks=[keras.callbacks.TerminateOnNaN()])
    assert len(history.epoch) == 1
    assert path.read_bytes() == good  # the end of a spoilt run is not saved either
    assert "the loss is nan" in caplog.text


def test_callbacks_of_one_s_own_keep_what_their_state_dict_says_and_others_are_named(tmp_path, caplog):
    class Counting(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.num_batches = 0

        def on_train_batch_end(self, batch, logs=None):
            self.num_batches += 1
            self.numbers = [*getattr(self, "numbers", []), batch]

    class Remembering(Counting):
        def state_dict(self):
            return {"num_batches": self.num_batches}

        def load_state_dict(self, state):
            self.num_batches = state["num_batches"]

    path = tmp_path / "run.state"
    with pytest.raises(InterruptedRunError):
        trained(path, callbacks=[Remembering(), Counting(), InterruptAfter(10)])
    remembering, counting = Remembering(), Counting()
    trained(path, callbacks=[remembering, counting])
    assert remembering.num_batches == STEPS * EPOCHS
    assert counting.numbers[0] == 9 - STEPS  # batches have their own numbers in the epoch
    assert "Counting begins anew" in caplog.text
    assert "Remembering begins" not in caplog.text


def test_csv_logs_and_checkpoints_go_on(tmp_path):
    def files(folder):
        folder.mkdir(exist_ok=True)
        best = keras.callbacks.ModelCheckpoint(
            folder / "best.weights.h5", "loss", save_best_only=True, save_weights_only=True
        )
        return [keras.callbacks.CSVLogger(folder / "log.csv"), best]

    trained(None, callbacks=files(tmp_path / "whole"))
    for after in (3, STEPS):
        with pytest.raises(InterruptedRunError):
            trained(tmp_path / "run.state", callbacks=[*(left := files(tmp_path / "killed")), InterruptAfter(after)])
        left[0].csv_file.close()  # as the end of a process does
    callbacks = files(tmp_path / "killed")
    trained(tmp_path / "run.state", callbacks=callbacks)
    assert (tmp_path / "killed" / "log.csv").read_text() == (tmp_path / "whole" / "log.csv").read_text()
    assert np.isfinite(callbacks[1].best)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "resume is a path"),
        ((".",), "is a folder: name a file in it"),
        (("a", "often"), "every is 'epoch' or a number of steps"),
        (("a", 0), "every is 'epoch' or a number of steps"),
    ],
)
def test_wrong_arguments_are_answered(arguments, message):
    with pytest.raises(ConfigError, match=message):
        rowlock.keras.Resume(*arguments)
    with pytest.raises(ConfigError, match="every_seconds is a time"):
        rowlock.keras.Resume("a", every_seconds=-1)
    with pytest.raises(ConfigError, match="resume= is for one process"):
        rowlock.keras.fit(model_of(), dataset().batches(4, shard=(0, 2), last="drop"), epochs=1, resume="a")


def test_every_seconds_saves_within_an_epoch(tmp_path):
    path = tmp_path / "run.state"
    with pytest.raises(InterruptedRunError):
        trained(path, resume=rowlock.keras.Resume(path, every_seconds=1e-9), after=4)
    rows = {}
    trained(path, delivered=rows)
    assert min(rows) == 3  # the interrupted step was counted, but its callbacks were not done


def tensorflow():
    """TensorFlow, where it is the backend."""
    import tensorflow as tf

    return tf


def seed_everything(seed):
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        tensorflow().random.get_global_generator().reset_from_seed(seed)


class Drawing(keras.callbacks.Callback):
    """Draws wherever Keras calls it, from every generator that the process has, and remembers what."""

    drawn = ()

    def draw(self, where):
        found = [random.random(), random.gauss(0, 1), np.random.random(), np.random.normal()]  # noqa: NPY002 - these
        found += np.asarray(keras.ops.convert_to_numpy(keras.random.uniform((2,)))).tolist()
        if keras.backend.backend() == "tensorflow":
            found += tensorflow().random.get_global_generator().normal((2,)).numpy().tolist()
        self.drawn = (*self.drawn, [where, *found])

    def on_epoch_begin(self, epoch, logs=None):
        self.draw(f"epoch {epoch}")

    def on_train_batch_begin(self, batch, logs=None):
        self.draw(f"batch {batch}")

    def on_test_begin(self, logs=None):
        self.draw("validation")

    def on_epoch_end(self, epoch, logs=None):
        self.draw(f"end of epoch {epoch}")

    def state_dict(self):
        return {"drawn": self.drawn}

    def load_state_dict(self, state):
        self.drawn = tuple(state["drawn"])


@pytest.mark.parametrize("every", ["epoch", 1])
def test_random_generators_of_the_process_go_on_where_they_were(every, tmp_path):
    whole, run = Drawing(), Drawing()
    weights, _, _ = trained(None, callbacks=[whole])
    path = tmp_path / "run.state"
    for after in (3, 2 * STEPS - 1):  # before an epoch is saved, and far beyond the end of one
        with pytest.raises(InterruptedRunError):
            trained(path, every=every, callbacks=[Drawing(), InterruptAfter(after)])
    resumed, _, _ = trained(path, every=every, callbacks=[run])
    assert [list(one) for one in run.drawn] == [list(one) for one in whole.drawn]
    assert all(np.array_equal(one, other) for one, other in zip(weights, resumed, strict=True))


def killed_or_done(path, journal, death):
    """One life of the program below; return whether it was killed."""
    done = subprocess.run(
        [sys.executable, __file__, path, journal, death], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode != 0


def test_kill_9_at_a_step_in_validation_and_while_saving_changes_neither_rows_nor_weights(tmp_path):
    rng = np.random.default_rng()
    places = [f"step {rng.integers(1, 6)}", "validation 1", f"rename {rng.integers(2, 6)}"]
    deaths = [*rng.choice(places, 2, replace=False).tolist(), "never 0"]  # another pair each time: a life takes seconds
    live(tmp_path / "whole.state", tmp_path / "whole.txt", "never 0")
    lives = [killed_or_done(tmp_path / "run.state", tmp_path / "run.txt", death) for death in deaths]
    assert lives == [True, True, False], deaths
    whole, run = (json.loads((tmp_path / name).with_suffix(".end").read_text()) for name in ("whole.txt", "run.txt"))
    assert run == whole, deaths
    planned = [line.split() for line in (tmp_path / "whole.txt").read_text().splitlines()]
    told = {}
    for line in (tmp_path / "run.txt").read_text().splitlines():
        step, *keys = line.split()
        assert told.setdefault(step, keys) == keys  # a step that came again had the same rows
    assert [[step, *keys] for step, keys in told.items()] == planned


def live(path, journal, death):
    """The program: trains to the end, or dies where it is told to."""
    what, when = death.split()

    def passed(place, number):
        if (what, int(when)) == (place, number):
            os.kill(os.getpid(), signal.SIGKILL)

    class Dying(keras.callbacks.Callback):
        num_steps = num_validations = 0

        def on_test_begin(self, logs=None):
            self.num_validations += 1
            passed("validation", self.num_validations)

        def on_train_batch_end(self, batch, logs=None):
            self.num_steps += 1
            passed("step", self.num_steps)

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    replace, num_renamed = Path.replace, 0

    def dying_replace(self, target):
        nonlocal num_renamed
        num_renamed += self.name.endswith(".partial")
        passed("rename", num_renamed)
        return replace(self, target)

    if what == "rename":
        Path.replace = dying_replace
    seed_everything(1 if not path.exists() else int.from_bytes(os.urandom(2)))
    model, data, drawing = model_of(eagerly=False), dataset(), Drawing()
    loader, valid = data.batches(BATCH_SIZE, seed=4), data.select(range(20)).batches(BATCH_SIZE, shuffle=False)
    original = loader.count

    def count(made):
        original(made)
        with journal.open("a") as stream:
            stream.write(f"{made.batch.step} {' '.join(map(str, made.batch.keys))}\n")

    loader.count = count
    resume = rowlock.keras.Resume(path, every=1)
    history = rowlock.keras.fit(model, loader, valid, epochs=EPOCHS, callbacks=[Dying(), drawing], verbose=0,
                                resume=resume)  # fmt: skip
    weights = [np.asarray(keras.ops.convert_to_numpy(variable.value)).tobytes().hex() for variable in model.variables]
    journal.with_suffix(".end").write_text(json.dumps([history.history, weights, drawing.drawn]))


if __name__ == "__main__":
    live(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
