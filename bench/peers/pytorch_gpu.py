"""Stable Diffusion 1.x in PyTorch + diffusers on a GPU, one way of running it, as lines of JSON:

    pytorch_gpu.py MODEL.safetensors [--mode eager|channels_last|graph|compile] [--rows 2,8] [--repeat N]

The weights are the file's, in fp16; the calls are those of bench_step. A step is timed from its call until the GPU is
done (median, 99th percentile), and many in a row by events; its error is against fp32 on the same GPU. Needs torch,
diffusers (0.42.1 was tried; it wants importlib_metadata), transformers, safetensors: without, the exit status is 77."""
import argparse
import json
import sys
import time

try:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from networks import WIDTHS, load
except ImportError as missing:
    print(f"a package is missing: {missing}; this needs torch, diffusers, transformers and safetensors")
    sys.exit(77)

MODES = "eager", "channels_last", "graph", "compile"


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("--arch", choices=WIDTHS, default="sd15")
    p.add_argument("--mode", choices=MODES, default="eager")
    p.add_argument("--side", type=int, default=512)
    p.add_argument("--rows", default="2")
    p.add_argument("--repeat", type=int, default=200)
    p.add_argument("--warm-up", type=int, default=20)
    p.add_argument("--device", default="cuda")
    a = p.parse_args()
    if a.mode == "graph" and a.device == "cpu":
        print("graph is for GPUs")
        sys.exit(77)
    return a


def say(**figures):
    print(json.dumps(figures), flush=True)


def distance(got, want):
    """Relative L2 in double."""
    return ((got.double() - want.double()).norm() / want.double().norm()).item()


class Runner:
    """Calls something until it is done, and times that."""

    def __init__(self, a):
        self.a, self.on_gpu = a, a.device != "cpu"

    def wait(self):
        if self.on_gpu:
            torch.cuda.synchronize()

    def timings(self, call):
        for _ in range(self.a.warm_up):
            call()
        self.wait()
        ms = []
        for _ in range(self.a.repeat):
            began = time.perf_counter()
            call()
            self.wait()
            ms.append(1000 * (time.perf_counter() - began))
        ms.sort()
        return dict(best_ms=ms[0], median_ms=ms[len(ms) // 2], p99_ms=ms[len(ms) * 99 // 100])

    def in_a_row_ms(self, call):
        """Of one of many calls that nobody waits for in between."""
        if not self.on_gpu:
            return None
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(self.a.repeat):
            call()
        end.record()
        self.wait()
        return begin.elapsed_time(end) / self.a.repeat

    def gemm_tflops(self, side):
        a, b = (torch.randn(side, side, device=self.a.device, dtype=torch.float16) for _ in range(2))
        return 2e-9 * side**3 / self.timings(lambda: a @ b)["best_ms"]


def recorded(call):
    """The call as a CUDA graph that is played."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def play():
        graph.replay()
        return result

    return play


def prepared(module, mode, device):
    module = module.to(device, torch.float16)
    if mode != "eager":
        module = module.to(memory_format=torch.channels_last)
    if mode == "compile":
        module = torch.compile(module, mode="max-autotune", fullgraph=True, dynamic=False)
    return module


def inputs(unet, rows, side, device):
    torch.manual_seed(rows)
    return (torch.randn(rows, 4, side // 8, side // 8).to(device),
            torch.full((rows,), 500.0, device=device),
            torch.randn(rows, 77, unet.config.cross_attention_dim).to(device))


def measure_unet(runner, unet, exact):
    """exact: rows -> (x, t, context, what fp32 gives)."""
    a = runner.a
    module = prepared(unet, a.mode, a.device)
    for rows, (x, t, context, want) in exact.items():
        x, t, context = (v.half() for v in (x, t, context))
        if a.mode != "eager":
            x = x.contiguous(memory_format=torch.channels_last)

        def call():
            return module(x, t, encoder_hidden_states=context, return_dict=False)[0]

        began = time.perf_counter()
        run = recorded(call) if a.mode == "graph" else call
        got = run().clone()
        runner.wait()
        ready = time.perf_counter() - began
        with FlopCounterMode(display=False) as counter:
            unet(x, t, encoder_hidden_states=context)
        figures = runner.timings(run)
        say(name="unet", mode=a.mode, rows=rows, **figures, in_a_row_ms=runner.in_a_row_ms(run),
            tflops=counter.get_total_flops() / figures["median_ms"] * 1e-9, error=distance(got.cpu(), want),
            ready_seconds=ready)


def measure_others(runner, vae, text):
    a = runner.a
    ids = torch.randint(0, 49405, (2, 77), device=a.device)
    text = text.to(a.device, torch.float16)
    vae = prepared(vae, a.mode, a.device)
    latent = torch.randn(1, 4, a.side // 8, a.side // 8, device=a.device, dtype=torch.float16)
    picture = torch.rand(1, 3, a.side, a.side, device=a.device, dtype=torch.float16) * 2 - 1
    if a.mode == "channels_last":
        latent, picture = (v.contiguous(memory_format=torch.channels_last) for v in (latent, picture))
    for name, rows, call in (("text", 2, lambda: text(ids).last_hidden_state),
                             ("encode", 1, lambda: vae.encode(picture).latent_dist.mean),
                             ("decode", 1, lambda: vae.decode(latent).sample)):
        say(name=name, mode=a.mode, rows=rows, **runner.timings(call))


@torch.no_grad()
def main():
    a = arguments()
    runner = Runner(a)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # of what fp32 gives
    torch.backends.cudnn.benchmark = True
    unet, vae, text = load(a.model, a.arch)
    about = dict(program=f"PyTorch {torch.__version__}", mode=a.mode, device=a.device)
    if runner.on_gpu:
        about.update(gpu=torch.cuda.get_device_name(a.device), cudnn=torch.backends.cudnn.version(),
                     gemm_tflops=runner.gemm_tflops(8192))
    say(**about)
    unet = unet.to(a.device)
    exact = {}
    for rows in (int(n) for n in a.rows.split(",")):
        x, t, context = inputs(unet, rows, a.side, a.device)
        exact[rows] = x, t, context, unet(x, t, encoder_hidden_states=context).sample.cpu()
    measure_unet(runner, unet, exact)
    if a.mode in ("eager", "channels_last"):
        measure_others(runner, vae, text)


main()
