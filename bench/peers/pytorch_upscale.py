"""A network of Real-ESRGAN's compact kind (SRVGG) in PyTorch, fp32 on the CPU, as JSON: the same calls, weights
and keys as bench_upscale.

    pytorch_upscale.py MODEL.safetensors WIDTH HEIGHT THREADS [ROUNDS]

The layers are found in the file: `body.N.weight` is a 3x3 convolution where it has four dimensions, else the
slopes that follow it; the last convolution gives scale^2 pixels a pixel, onto which the enlarged input is added."""
import json
import sys
import time

import torch
from safetensors.torch import load_file
from torch.nn import functional

path, width, height, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 3
torch.set_num_threads(threads)
TILE, OVERLAP = 192, 8


class Srvgg(torch.nn.Module):
    def __init__(self, weights):
        super().__init__()
        order = sorted({int(name.split(".")[1]) for name in weights})
        self.layers = [(weights[f"body.{n}.weight"].float(), weights.get(f"body.{n}.bias")) for n in order]
        self.scale = round((self.layers[-1][0].shape[0] / 3) ** 0.5)

    def forward(self, picture):
        x = picture
        for weight, bias in self.layers:
            if weight.dim() == 4:
                x = functional.conv2d(x, weight, bias.float(), padding=1)
            else:
                x = functional.prelu(x, weight)
        return functional.pixel_shuffle(x, self.scale) + functional.interpolate(picture, scale_factor=self.scale)


def along(size):
    step = TILE - OVERLAP
    return max(1, -(-(size - OVERLAP) // step))


def best(call):
    call()
    wall, cpu = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        call()
        wall.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (time.process_time() - used))
    return min(wall), min(cpu)


def enlarge(network, pixels):
    """Bytes to bytes, as an upscaler is called."""
    x = pixels.permute(0, 3, 1, 2).float() / 255
    return (network(x).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous()


@torch.no_grad()
def measure():
    network = Srvgg(load_file(path))
    whole = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
    tile = torch.randint(0, 256, (1, min(TILE, height), min(TILE, width), 3), dtype=torch.uint8)
    tiles = along(width) * along(height)
    one = best(lambda: enlarge(network, whole))
    many = best(lambda: [enlarge(network, tile) for _ in range(tiles)])
    return dict(program=f"PyTorch {torch.__version__}", whole_ms=one[0], whole_cpu_ms=one[1], tiles=tiles,
                tiles_ms=many[0], tiles_cpu_ms=many[1])


print(json.dumps(measure()))
