"""PyTorch's side of benchmarks/train.py: the same network, one line of JSON."""

import argparse
import itertools
import json
import os
import resource
import time
from statistics import median

import torch
from torch import nn

FILTERS, CLASSES = (16, 32, 64, 128), 4


def convolution(channels: int, filters: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm3d(filters), nn.ReLU(inplace=True)
    )


def level(channels: int, filters: int) -> nn.Module:
    return nn.Sequential(convolution(channels, filters), convolution(filters, filters))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(level(c, f) for c, f in zip((1, *FILTERS[:-1]), FILTERS, strict=True))
        pairs = list(itertools.pairwise(FILTERS))
        self.up = nn.ModuleList(nn.ConvTranspose3d(below, f, 2, 2) for f, below in pairs)
        self.decoder = nn.ModuleList(level(2 * f, f) for f, _ in pairs)
        self.logits = nn.Conv3d(FILTERS[0], CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for i, part in enumerate(self.encoder):
            x = part(nn.functional.max_pool3d(x, 2) if i else x)
            skips.append(x)
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](torch.cat([skips[i], self.up[i](x)], 1))
        return self.logits(x)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--layout", choices=("first", "last"), required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layout = torch.channels_last_3d if options.layout == "last" else torch.contiguous_format
    shape = [options.size] * 3
    network = UNet().to(memory_format=layout)
    image = torch.randn(options.batch_size, 1, *shape).to(memory_format=layout)
    labels = torch.randint(0, CLASSES, (options.batch_size, *shape))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    square = torch.randn(4096, 4096)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(image), labels).backward()
        optimizer.step()

    def inference() -> None:
        with torch.inference_mode():
            network(image)

    found = {
        "matmul": 2 * 4096**3 / seconds(lambda: square @ square, options.repeats),
        "parameters": sum(p.numel() for p in network.parameters()),
        "step": seconds(step, options.repeats),
    }
    network.eval()
    found["inference"] = seconds(inference, options.repeats)
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps(found))


def seconds(run, repeats: int) -> float:
    """Returns the median of the repeats."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


if __name__ == "__main__":
    main()
