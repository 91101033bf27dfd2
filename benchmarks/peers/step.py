"""The peers' side of benchmarks/train.py, in PyTorch: it answers matmul, step, inference and facts."""

import argparse
import copy
import itertools
import os
import resource

import torch
from side_by_side import answer, timed
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

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

    def fold(self) -> None:
        """Folds each batch norm into the convolution before it."""
        for part in self.modules():
            if isinstance(part, nn.Sequential) and isinstance(part[0], nn.Conv3d):
                part[0], part[1] = fuse_conv_bn_eval(part[0], part[1]), nn.Identity()


def make_network(name: str) -> nn.Module:
    if name == "plain":
        return UNet()
    import monai

    return monai.networks.nets.UNet(3, 1, CLASSES, (24, 48, 96, 192), (2, 2, 2), num_res_units=1, norm="batch")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=("plain", "monai"), required=True)
    parser.add_argument("--layout", choices=("first", "last"), required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layout = torch.channels_last_3d if options.layout == "last" else torch.contiguous_format
    shape = [options.size] * 3
    network = make_network(options.network).to(memory_format=layout)
    image = torch.randn(options.batch_size, 1, *shape).to(memory_format=layout)
    labels = torch.randint(0, CLASSES, (options.batch_size, *shape))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    square = torch.randn(4096, 4096).to(getattr(torch, options.precision))
    half = torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16")

    def step() -> None:
        optimizer.zero_grad()
        with half:
            loss = nn.functional.cross_entropy(network(image).float(), labels)
        loss.backward()
        optimizer.step()

    ready = copy.deepcopy(network).eval()
    if options.network == "plain":
        ready.fold()

    def inference() -> None:
        with torch.inference_mode(), half:
            ready(image)

    def facts() -> dict:
        return {
            "parameters": sum(p.numel() for p in network.parameters()),
            "matmul_flops": 2 * 4096**3,
            "step_flops": count_flops(step),
            "inference_flops": count_flops(inference),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        }

    answer(
        {"matmul": timed(lambda: square @ square), "step": timed(step), "inference": timed(inference), "facts": facts}
    )


def count_flops(run) -> int:
    """Returns the operations of convolutions."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


if __name__ == "__main__":
    main()
