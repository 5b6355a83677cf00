"""The training loop that all trained stages share: resumable at any step, stopped by SIGTERM.

The one idea: what a step draws depends on the seed and the step's number alone, so a checkpoint
needs no state of a random generator, and a resumed run is the same run.
"""
import copy
import os
import random
import signal
import sys
import time

import torch

import settings

LOG_SECONDS = 30
SAVE_SECONDS = 180
LOOK_SECONDS = 1200
WARM_UP = 200  # steps
FALL = 0.3  # the last part of the steps, in which the rate falls to nothing
CLIP = 1.0  # of the gradient's norm
STOPPED = 143  # exit status after SIGTERM, as a shell would report it


def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def save_atomically(what, path):
    """Writes the file beside `path`, then puts it in its place: a reader never sees half of it."""
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        torch.save(what, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def rate_at(step, steps, rate):
    """Warm-up, constant, then a linear fall."""
    left = (steps - step) / (FALL * steps)
    return rate * min(1.0, (step + 1) / WARM_UP, left)


class Averages:
    """Mean values since the last line of the log."""

    def __init__(self):
        self.sums, self.count = {}, 0

    def add(self, values):
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.count += 1

    def text(self):
        return " ".join(f"{name} {total / self.count:.4f}" for name, total in self.sums.items())


def parameter_groups(module, shares):
    """The parameters by their part of the rate: shares is {name of a child: part}, else all of it."""
    groups = {}
    for name, value in module.named_parameters():
        groups.setdefault(shares.get(name.split(".")[0], 1.0), []).append(value)
    return [{"params": values, "share": share} for share, values in groups.items()]


class Training:
    """Trains `module` with AdamW. `loss_of(step, rng)` gives (loss, {name: value}, pictures);
    torch's generator and `rng` are seeded for the step before it is called."""

    def __init__(self, module, options, checkpoint):
        self.module, self.options, self.checkpoint = module, options, checkpoint
        self.average = copy.deepcopy(module).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(module, options.get("shares", {})),
            options["rate"],
            options["betas"],
            weight_decay=options["decay"],
        )
        self.step = 0
        self.stop = False
        if checkpoint.exists():
            self.load()

    def load(self):
        state = torch.load(self.checkpoint, map_location=device())
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        print(f"resumed at step {self.step}", flush=True)

    def save(self):
        state = {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        save_atomically(state, self.checkpoint)

    def one_step(self, loss_of):
        rate = rate_at(self.step, self.options["steps"], self.options["rate"])
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        seed = settings.SEED * 1_000_003 + self.step
        torch.manual_seed(seed)
        loss, values, pictures = loss_of(self.step, random.Random(seed))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), CLIP)
        self.optimizer.step()
        self.step += 1
        keep = min(self.options["ema"], self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.module.parameters()), 1 - keep
            )
        return {"loss": loss.item(), **values}, pictures

    def run(self, loss_of, look=None):
        """Trains to the last step and gives the averaged module. Now and then `look(average, step)`
        may test it. On SIGTERM: saves and ends the process."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stop", True))
        averages, pictures, steps = Averages(), 0, self.options["steps"]
        logged = saved = looked = time.monotonic()
        while self.step < steps and not self.stop:
            values, more = self.one_step(loss_of)
            averages.add(values)
            pictures += more
            now = time.monotonic()
            if now - logged > LOG_SECONDS:
                print(
                    f"{time.strftime('%F %T')} step {self.step}/{steps} {averages.text()} "
                    f"samples/s {pictures / (now - logged):.2f}",
                    flush=True,
                )
                averages, pictures, logged = Averages(), 0, now
            if now - saved > SAVE_SECONDS:
                self.save()
                saved = now
            if look and now - looked > LOOK_SECONDS:
                look(self.average, self.step)
                looked = time.monotonic()
        self.save()
        if self.stop:
            print(f"stopped at step {self.step}; run again to go on", flush=True)
            sys.exit(STOPPED)
        return self.average
