"""PyTorch: one process and two, and the trainers that people wrap around it."""

import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, RowError, StateError

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.adapter

NUM_ROWS = 21


def make(num_rows=NUM_ROWS, target=True, **more):
    """Every array tells the row it belongs to."""
    numbers = np.arange(num_rows)
    matrix = numbers[:, None] + np.array([0, 0.25, 0.5], np.float32)
    frame = pd.DataFrame({"number": numbers, "label": numbers % 3, **more})
    inputs = {"f": rl.Features(matrix.astype(np.float32)), "n": rl.Columns(["number"])}
    return rl.Dataset(frame, inputs, target=rl.Column("number", dtype="int32") if target else None)


def rows_of(batch):
    """The rows that a batch's values tell, proved to be the same in all of them."""
    told = batch.inputs["n"][:, 0]
    assert torch.equal(told, batch.inputs["f"][:, 0])
    assert torch.equal(told.long(), batch.target)
    assert batch.rows.tolist() == batch.target.tolist()
    return batch.rows.tolist()


def test_a_batch_shares_its_memory_with_the_arrays_it_was_made_from():
    loader = make().batches(4, shuffle=False)
    arrays = {}
    batches = loader.to_torch()
    send = batches._ahead._send

    def noted(batch):
        arrays[batch.step] = batch
        return send(batch)

    batches._ahead._send = noted
    for batch in batches:
        for name in ("f", "n"):
            assert batch.inputs[name].data_ptr() == arrays[batch.step].inputs[name].ctypes.data
            assert batch.inputs[name].data_ptr() % 64 == 0


def test_whole_targets_become_int64_and_inputs_stay_as_they_are():
    frame = pd.DataFrame({"a": np.arange(8), "b": np.arange(8) / 2, "c": [True, False] * 4})
    target = {
        "small": rl.Column("a", dtype="uint8"),
        "medium": rl.Column("a", dtype="uint16"),
        "real": rl.Column("b"),
        "flag": rl.Column("c", dtype="bool"),
    }
    data = rl.Dataset(frame, {"x": rl.Columns(["a"], dtype="int16")}, target=target)
    batch = next(iter(data.batches(8, shuffle=False).to_torch()))
    kinds = {name: tensor.dtype for name, tensor in batch.target.items()}
    assert kinds == {"small": torch.int64, "medium": torch.int64, "real": torch.float32, "flag": torch.bool}
    assert batch.target["medium"].tolist() == list(range(8))
    assert batch.inputs["x"].dtype == torch.int16


@pytest.mark.parametrize(
    ("dtype", "instead"), [("uint16", "int32"), ("uint32", "int64"), ("uint64", "int64"), ("longdouble", "float32")]
)
def test_types_that_torch_cannot_compute_with_are_refused_with_what_to_write(dtype, instead):
    data = rl.Dataset(pd.DataFrame({"a": np.arange(8)}), {"x": rl.Column("a", dtype=dtype)})
    with pytest.raises(ConfigError, match=f"'x' is .*PyTorch cannot compute with. Write dtype='{instead}'"):
        data.batches(4).to_torch()


def test_a_uint64_target_is_refused_and_not_wrapped_around():
    data = rl.Dataset(pd.DataFrame({"a": np.arange(8)}), {"x": rl.Column("a")}, target=rl.Column("a", dtype="uint64"))
    with pytest.raises(ConfigError, match="'the target' is uint64"):
        data.batches(4).to_torch()


@pytest.mark.parametrize("prefetch", [-1, 1.5, "2"])
def test_prefetch_is_a_whole_number(prefetch):
    with pytest.raises(ConfigError, match="prefetch must be"):
        make().batches(4).to_torch(prefetch=prefetch)


@pytest.mark.parametrize("device", ["abacus", "cuda:x", 1.5])
def test_a_device_that_there_is_not_is_refused_at_once(device):
    with pytest.raises(ConfigError, match="no device of PyTorch"):
        make().batches(4).to_torch(device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_cuda_device_that_there_is_not_is_refused_at_once():
    with pytest.raises(ConfigError, match="device='cuda', but PyTorch finds no CUDA device here"):
        make().batches(4).to_torch(device="cuda")


def test_tensors_go_to_the_device_that_is_named():
    batch = next(iter(make().batches(4, last="pad").to_torch(device="meta")))
    assert {batch.inputs["f"].device.type, batch.target.device.type, batch.sample_weight.device.type} == {"meta"}
    assert len(batch) == 4
    assert batch.rows.tolist() == batch.keys.tolist()


def test_without_a_target_there_is_none():
    batch = next(iter(make(target=False).batches(4).to_torch()))
    assert batch.target is None
    assert batch.sample_weight is None


# Epochs and state.


def test_set_epoch_gives_the_order_of_that_epoch_and_the_natural_loop_is_undisturbed():
    batches, plain = make().batches(4, seed=3).to_torch(), make().batches(4, seed=3)
    expected = [[batch.rows.tolist() for batch in plain] for _ in range(5)]
    for epoch in (0, 1, 4, 2):
        batches.set_epoch(epoch)
        assert [rows_of(batch) for batch in batches] == expected[epoch]
    assert [rows_of(batch) for batch in batches] == expected[3]


def test_set_epoch_begins_an_epoch_that_was_broken_off_again():
    batches = make().batches(4, seed=3).to_torch()
    whole = [rows_of(batch) for batch in batches]
    batches.set_epoch(0)
    for _ in batches:
        break
    batches.set_epoch(0)
    assert [rows_of(batch) for batch in batches] == whole


def test_set_epoch_continues_a_loaded_state_and_refuses_another_epoch():
    first = make().batches(4, seed=3).to_torch()
    for _ in first:
        pass
    taken = [rows_of(batch) for batch, _ in zip(first, range(2), strict=False)]
    state = first.state_dict()
    assert (state["epoch"], state["rows_delivered"]) == (1, 12)  # zip has taken a third
    again = make().batches(4, seed=3).to_torch()
    again.load_state_dict(state)
    with pytest.raises(StateError, match=r"goes on in epoch 1, so set_epoch\(0\) would lose or repeat rows"):
        again.set_epoch(0)
    again.set_epoch(1)
    rest = [rows_of(batch) for batch in again]
    whole = make().batches(4, seed=3).to_torch()
    whole.set_epoch(1)
    assert [rows_of(batch) for batch in whole][3:] == rest
    assert taken
    again.set_epoch(0)


@pytest.mark.parametrize("epoch", [-1, 1.5, "2", None])
def test_set_epoch_takes_whole_numbers(epoch):
    with pytest.raises(ConfigError, match="epoch must be"):
        make().batches(4).to_torch().set_epoch(epoch)


def test_an_epoch_under_way_ends_where_another_is_set():
    batches = make().batches(4).to_torch()
    under_way = iter(batches)
    next(under_way)
    batches.set_epoch(5)
    with pytest.raises(rl.RowlockError, match="one iteration at a time"):
        next(under_way)


def test_what_fails_on_the_way_to_the_device_comes_again_and_is_not_counted():
    batches = make().batches(4, shuffle=False).to_torch()
    send, calls = batches._ahead._send, []

    def failing(batch):
        calls.append(batch.step)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("no room on the device")
        return send(batch)

    batches._ahead._send = failing
    epoch = iter(batches)
    assert next(epoch).step == 0
    with pytest.raises(torch.OutOfMemoryError):
        next(epoch)
    assert batches.state_dict()["rows_delivered"] == 4
    assert [rows_of(batch) for batch in epoch] == [list(range(n, min(n + 4, 21))) for n in range(4, 21, 4)]


# PyTorch's own data loader, and torchdata's.


def test_a_data_loader_passes_the_batches_on_as_they_are():
    batches = make().batches(4, seed=1).to_torch()
    through = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=0)
    assert len(through) == 6
    for _ in range(2):
        assert sorted(row for batch in through for row in rows_of(batch)) == list(range(NUM_ROWS))


FORKED_WORKER = """
import numpy as np, pandas as pd, torch, rowlock as rl
data = rl.Dataset(pd.DataFrame({"n": np.arange(8.0)}), {"x": rl.Columns(["n"])})
batches = data.batches(4).to_torch()
next(iter(torch.utils.data.DataLoader(batches, batch_size=None, num_workers=1, multiprocessing_context="fork")))
"""


@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_data_loader_that_would_make_batches_of_batches_is_refused(batch_size):
    with pytest.raises(ConfigError, match=r"batches already: DataLoader\(batches, batch_size=None\)"):
        next(iter(torch.utils.data.DataLoader(make().batches(4).to_torch(), batch_size=batch_size)))


def test_workers_that_are_forked_are_refused_with_the_reason():
    found = subprocess.run(
        [sys.executable, "-c", FORKED_WORKER], capture_output=True, text=True, timeout=280, check=False
    )
    assert "num_workers=0): the threads of rl.Engine(num_threads=...) do the work" in found.stderr


def test_workers_that_are_spawned_are_refused_with_the_reason(time_limit):
    through = torch.utils.data.DataLoader(
        make().batches(4).to_torch(), batch_size=None, num_workers=1, multiprocessing_context="spawn"
    )
    with time_limit(280), pytest.raises(ConfigError, match="num_workers=0.*each deliver all the rows"):
        next(iter(through))


@pytest.mark.filterwarnings("ignore:'.*' is deprecated:UserWarning:torch")  # torchdata looks at everything in torch
def test_torchdata_s_stateful_loader_saves_and_resumes_within_an_epoch():
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")

    def through():
        return stateful.StatefulDataLoader(make().batches(4, seed=3).to_torch(), batch_size=None, num_workers=0)

    whole = [rows_of(batch) for _ in range(2) for batch in through()]
    loader = through()
    for batch in loader:
        if batch.step == 2:
            state = loader.state_dict()
            break
    again = through()
    again.load_state_dict(state)
    assert [rows_of(batch) for batch in again] == whole[3:6]
    second = [rows_of(batch) for batch in again]
    assert sorted(row for rows in second for row in rows) == list(range(NUM_ROWS))
    assert second != whole[:6]


# Several processes.

GLOO = """
import json, sys
from datetime import timedelta
import numpy as np, pandas as pd, torch, torch.distributed as dist
import rowlock as rl, rowlock.torch

rank, world, port = map(int, sys.argv[1:])
try:
    import os; os.environ["WORLD_SIZE"] = str(world)
    rowlock.torch.shard(); raise SystemExit("a process group that is not there was not noticed")
except rl.RowlockError: pass
store = dist.TCPStore("127.0.0.1", port, world, rank == 0, timeout=timedelta(seconds=200))
dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=200))
assert rowlock.torch.shard() == (rank, world)
import logging; said = []; logging.getLogger("rowlock").addHandler(logging.Handler())
logging.getLogger("rowlock").handlers[-1].emit = lambda record: said.append(record.getMessage())
whole = rl.Dataset(pd.DataFrame({"n": [1.0, 2.0]}), {"x": rl.Columns(["n"])})
for batches in (whole.batches(1).to_torch(), whole.batches(1, shuffle=False).to_torch()):
    list(batches), list(batches)
only, = said
assert only == "each of 2 processes takes all 2 rows: batches(..., shard=rowlock.torch.shard()) gives each its part"
found = {}
for num_rows in (37, 40, 41):
    numbers = np.arange(num_rows, dtype=np.float32)
    data = rl.Dataset(pd.DataFrame({"n": numbers}), {"x": rl.Columns(["n"])}, target=rl.Column("n"))
    for last in ("pad", "drop"):
        batches = data.batches(4, seed=5, last=last, shard=rowlock.torch.shard()).to_torch()
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
        epochs = []
        for epoch in range(2):
            batches.set_epoch(epoch)
            rows = []
            for batch in batches:
                weight = torch.ones(len(batch)) if batch.sample_weight is None else batch.sample_weight
                error = (model(batch.inputs["x"])[:, 0] - batch.target) ** 2
                optimizer.zero_grad(); (error * weight).sum().backward(); optimizer.step()
                rows.append([int(n) for n, w in zip(batch.target.tolist(), weight.tolist()) if w])
            epochs.append(rows)
        found[f"{num_rows} {last}"] = [epochs, model.module.weight.item()]
dist.destroy_process_group()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_processes_of_gloo_train_on_disjoint_and_complete_rows_in_equal_steps(run_ranks):
    ours, theirs = run_ranks(GLOO, seconds=280)
    for name, (epochs, weight) in ours.items():
        num_rows, last = int(name.split()[0]), name.split()[1]
        other_epochs, other_weight = theirs[name]
        assert weight == other_weight  # the gradients were averaged in step
        for mine, other in zip(epochs, other_epochs, strict=True):
            assert len(mine) == len(other) == (-(-num_rows // 8) if last == "pad" else num_rows // 8)
            rows = [row for batch in mine + other for row in batch]
            assert len(set(rows)) == len(rows)
            if last == "pad":
                assert sorted(rows) == list(range(num_rows))
            else:
                assert {len(batch) for batch in mine + other} == {4}
        assert epochs[0] != epochs[1]


# Lightning.

LIGHTNING = pytest.mark.filterwarnings("ignore")  # its own, of which there are many


def lightning_module():
    lightning = pytest.importorskip("lightning.pytorch", reason="Lightning is not installed")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)
            self.trained, self.validated = [], []

        def training_step(self, batch, _):
            self.trained.append((self.current_epoch, rows_of(batch)))
            loss = ((self.layer(batch.inputs["f"])[:, 0] - batch.target) ** 2).mean()
            self.log("loss", loss, on_epoch=True, batch_size=len(batch))
            return loss

        def validation_step(self, batch, _):
            self.validated.append(rows_of(batch))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=1e-6)

    def trainer(folder, **options):
        return lightning.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            **options,
        )

    return Module(), trainer


@LIGHTNING
@pytest.mark.parametrize("wrapped", [False, True])
def test_lightning_trains_on_every_row_once_an_epoch_in_the_order_of_the_plan(tmp_path, wrapped):
    module, trainer = lightning_module()
    batches, valid = make().batches(4, seed=3).to_torch(), make().batches(4, shuffle=False).to_torch()
    given = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=0) if wrapped else batches
    trainer(tmp_path, max_epochs=3, enable_checkpointing=False).fit(module, given, valid)
    plain = make().batches(4, seed=3)
    expected = [(epoch, batch.rows.tolist()) for epoch in range(3) for batch in plain]
    assert module.trained == expected
    in_order = [list(range(n, min(n + 4, 21))) for n in range(0, 21, 4)]
    assert module.validated == in_order[:2] + 3 * in_order  # two batches to try it first


@LIGHTNING
def test_lightning_goes_on_within_an_epoch_from_its_own_checkpoint(tmp_path):
    from lightning.pytorch.callbacks import ModelCheckpoint

    whole = [batch.rows.tolist() for _ in range(2) for batch in [*make().batches(4, seed=3)]]
    module, trainer = lightning_module()
    saving = ModelCheckpoint(tmp_path, every_n_train_steps=4, save_top_k=-1, filename="{step}")
    trainer(tmp_path, max_steps=4, callbacks=[saving]).fit(module, make().batches(4, seed=3).to_torch())
    assert [rows for _, rows in module.trained] == whole[:4]
    again, trainer = lightning_module()
    saved = next(iter(tmp_path.glob("*.ckpt")))
    batches = make().batches(4, seed=3).to_torch()
    trainer(tmp_path, max_epochs=2, enable_checkpointing=False).fit(again, batches, ckpt_path=saved)
    plain = make().batches(4, seed=3)
    expected = [(epoch, batch.rows.tolist()) for epoch in range(2) for batch in plain]
    assert again.trained == expected[4:]


LIGHTNING_DDP = """
import json, sys, warnings, logging
warnings.simplefilter("ignore"); logging.disable(logging.WARNING)
import os
rank, world, port = map(int, sys.argv[1:])
os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world), "RANK": str(rank),
    "LOCAL_RANK": str(rank), "NODE_RANK": "0", "LOCAL_WORLD_SIZE": str(world), "TORCHELASTIC_RUN_ID": "test"}
import numpy as np, pandas as pd, torch, lightning.pytorch as lightning
import rowlock as rl, rowlock.torch

class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.trained = torch.nn.Linear(1, 1), []
    def train_dataloader(self):
        numbers = np.arange(41, dtype=np.float32)
        data = rl.Dataset(pd.DataFrame({"n": numbers}), {"x": rl.Columns(["n"])}, target=rl.Column("n"))
        return data.batches(4, seed=5, last="pad", shard=rowlock.torch.shard()).to_torch()
    def training_step(self, batch, _):
        self.trained.append([int(n) for n, w in zip(batch.target.tolist(), batch.sample_weight.tolist()) if w])
        return ((self.layer(batch.inputs["x"])[:, 0] - batch.target) ** 2 * batch.sample_weight).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-6)

module = Module()
lightning.Trainer(accelerator="cpu", devices=world, strategy="ddp", max_epochs=2, logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False).fit(module)
print()
print(json.dumps([module.trained, module.layer.weight.item()]))
"""


@pytest.mark.slow
def test_two_processes_of_lightning_train_on_disjoint_and_complete_rows(run_ranks):
    pytest.importorskip("lightning", reason="Lightning is not installed")
    (ours, weight), (theirs, other_weight) = run_ranks(LIGHTNING_DDP, seconds=280)
    assert len(ours) == len(theirs) == 12
    assert weight == other_weight
    for epoch in (slice(0, 6), slice(6, 12)):
        assert sorted(row for batch in ours[epoch] + theirs[epoch] for row in batch) == list(range(41))


# Accelerate.

ACCELERATE = """
import json, sys, os, warnings
warnings.simplefilter("ignore")
rank, world, port = map(int, sys.argv[1:])
os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world), "RANK": str(rank),
    "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(world), "ACCELERATE_USE_CPU": "true"}
import numpy as np, pandas as pd, torch
from accelerate import Accelerator, DataLoaderConfiguration
import rowlock as rl, rowlock.torch

numbers = np.arange(41, dtype=np.float32)
data = rl.Dataset(pd.DataFrame({"n": numbers}), {"x": rl.Columns(["n"])}, target=rl.Column("n"))
wrapped, lost = {}, {}
for dispatch in (None, False):
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(dispatch_batches=dispatch))
    def batches():
        shard = (accelerator.process_index, accelerator.num_processes)
        return data.batches(4, seed=5, last="pad", shard=shard).to_torch(device=accelerator.device)
    collate = lambda batch: {"n": batch.target, "w": batch.sample_weight}
    through = accelerator.prepare(torch.utils.data.DataLoader(batches(), batch_size=None, collate_fn=collate))
    try:
        for batch in through: pass
        wrapped[str(dispatch)] = "taken"
    except Exception as error:
        wrapped[str(dispatch)] = f"{type(error).__name__}: {error}"
    # What would happen without the refusal: the negative control.
    rowlock.torch._refuse_accelerate, refuse = (lambda: None), rowlock.torch._refuse_accelerate
    try:
        lost[str(dispatch)] = [int(n) for b in through for n, w in zip(b["n"].tolist(), b["w"].tolist()) if w]
    except Exception as error:
        lost[str(dispatch)] = f"{type(error).__name__}"
    rowlock.torch._refuse_accelerate = refuse
model, optimizer, prepared = accelerator.prepare(torch.nn.Linear(1, 1), None, batches())
optimizer = accelerator.prepare(torch.optim.SGD(model.parameters(), lr=1e-6))
rows = []
for epoch in range(2):
    for batch in prepared:
        loss = ((model(batch.inputs["x"])[:, 0] - batch.target) ** 2 * batch.sample_weight).mean()
        optimizer.zero_grad(); accelerator.backward(loss); optimizer.step()
        rows.append([int(n) for n, w in zip(batch.target.tolist(), batch.sample_weight.tolist()) if w])
weight = accelerator.unwrap_model(model).weight.item()
if world > 1: torch.distributed.destroy_process_group()
print(json.dumps({"wrapped": wrapped, "lost": lost, "rows": rows, "weight": weight}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [1, 2])
def test_accelerate_trains_on_disjoint_and_complete_rows_and_is_refused_where_it_would_divide_again(
    run_ranks, world_size
):
    pytest.importorskip("accelerate", reason="Accelerate is not installed")
    found = run_ranks(ACCELERATE, world_size=world_size, seconds=280)
    num_steps = -(-41 // (4 * world_size))
    assert len({each["weight"] for each in found}) == 1
    for epoch in range(2):
        taken = [each["rows"][epoch * num_steps : (epoch + 1) * num_steps] for each in found]
        assert sorted(row for rows in taken for batch in rows for row in batch) == list(range(41))
    for each in found:
        for said in each["wrapped"].values():
            assert "Leave them out of it" in said or "TypeError" in said
        assert "Leave them out of it" in each["wrapped"]["None"]
    if world_size == 2:  # what is refused would have trained on half of the rows
        lost = found[0]["lost"]["None"] + found[1]["lost"]["None"]
        assert len(set(lost)) < 30


# A device; these run where there is one.

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@CUDA
def test_batches_on_a_cuda_device_are_the_loader_s_and_kept_ones_stay():
    batches, plain = make(400).batches(8, seed=1).to_torch(device="cuda"), make(400).batches(8, seed=1)
    kept = [batch for _ in range(5) for batch in batches]
    for batch, expected in zip(kept, (batch for _ in range(5) for batch in plain), strict=True):
        assert batch.inputs["f"].device.type == "cuda"
        assert np.array_equal(batch.inputs["f"].cpu().numpy(), expected.inputs["f"])
        assert batch.target.tolist() == expected.target.tolist()


@CUDA
def test_the_state_counts_what_was_handed_over_and_nothing_on_its_way_to_the_device():
    batches = make(400).batches(8, seed=1).to_torch(device="cuda", prefetch=2)
    for number, _ in enumerate(batches, 1):
        assert batches.state_dict()["rows_delivered"] == 8 * number % 400


def test_no_thread_is_left(tmp_path):
    before = set(threading.enumerate())
    with rl.Engine(num_threads=2) as engine:
        loader = make().batches(4, engine=engine)
        for _ in loader.to_torch():
            break
        loader.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert not set(threading.enumerate()) - before


def test_an_unreadable_row_is_named_and_the_next_attempt_is_the_same_step(tmp_path):
    frame = pd.DataFrame({"path": ["none.png"] * 4, "id": ["a", "b", "c", "d"]})
    data = rl.Dataset(frame, {"image": rl.Images("path", size=(4, 4), root=tmp_path)}, key="id")
    epoch = iter(data.batches(2, shuffle=False).to_torch())
    for _ in range(2):
        with pytest.raises(RowError, match="'a'.*step 0"):
            next(epoch)
