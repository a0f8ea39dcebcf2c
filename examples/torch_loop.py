"""A loop of your own in PyTorch: two branches in a torch.nn.Module, batches as tensors, predictions joined by key.

    python examples/torch_loop.py [--rows 900] [--epochs 8]

It prints loss and accuracy on the validation rows for each epoch, and the first predictions by key.
"""

import argparse
import tempfile
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import torch
from torch import nn

import rowlock as rl

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Merged(nn.Module):
    """A convnet on pictures and a dense layer on growth curves, side by side, and a head."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        steps = [s for n in (16, 32, 48) for s in (nn.LazyConv2d(n, 5, stride=2, padding=2), nn.ReLU())]
        self.image = nn.Sequential(*steps, nn.Flatten(), nn.Dropout(0.3), nn.LazyLinear(16), nn.ReLU())
        self.growth = nn.Sequential(nn.Linear(12, 16), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, num_classes))

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Pictures come as bytes with the channels last: scaled and turned here, on the device."""
        image = self.image(inputs["image"].permute(0, 3, 1, 2).float() / 127.5 - 1)
        return self.head(torch.cat([image, self.growth(inputs["growth"])], dim=1))


def predicted(net: nn.Module, part: rl.Dataset) -> np.ndarray:
    """Return the most likely class of every row, in the order of the part."""
    net.eval()
    with torch.no_grad():
        batches = part.batches(64, shuffle=False).to_torch(device=DEVICE)
        return torch.cat([net(batch.inputs).argmax(dim=1) for batch in batches]).numpy(force=True)


def main(rows: int, epochs: int, folder: Path) -> None:
    """Train, validate after each epoch, and show what comes out."""
    growth = rl.Features(folder / "growth.zarr", standardize=True)
    inputs = {"image": rl.Images("imgpath", size=(48, 48), root=folder), "growth": growth}
    data = rl.Dataset(made_up.animals(folder, rows), inputs, target=rl.Labels("label"), key="object_id")
    train, valid = data.split(0.75, 0.25, stratify="label", seed=0)
    train, valid = train.fit_statistics(valid)
    torch.manual_seed(0)
    net, criterion = Merged(len(data.classes)).to(DEVICE), nn.CrossEntropyLoss()
    net(next(iter(train.batches(2).to_torch(device=DEVICE))).inputs)  # lazy layers learn their size
    optimizer, truth = torch.optim.Adam(net.parameters(), 2e-3), valid.frame["label"].to_numpy()
    loader = train.batches(32, seed=7).to_torch(device=DEVICE)
    for epoch in range(epochs):
        total = 0.0
        net.train()
        for batch in loader:  # each pass is the next epoch, in an order of its own
            loss = criterion(net(batch.inputs), batch.target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch.rows)
        names = np.array(data.classes)[predicted(net, valid)]
        print(f"epoch {epoch + 1}: loss {total / len(train):.3f}, accuracy {(names == truth).mean():.3f}")
    print(pd.DataFrame({"object_id": valid.keys, "label": truth, "predicted": names}).head().to_string(index=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train two branches in a loop of PyTorch.")
    parser.add_argument("--rows", type=int, default=900)
    parser.add_argument("--epochs", type=int, default=8)
    with tempfile.TemporaryDirectory() as scratch:
        main(**vars(parser.parse_args()), folder=Path(scratch))
