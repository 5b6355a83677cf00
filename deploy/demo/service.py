"""Pictures made by the real service: starts `overpaint up` on a folder with one model, ends it."""
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image


class Service:
    """with Service(bin folder, model file) as service: service.make("txt2img", ...)"""

    def __init__(self, programs, model):
        self.program = str(Path(programs) / "overpaint")
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.endpoint = f"ipc://{self.path}/broker"
        models = self.path / "models"
        models.mkdir()
        (models / "demo.safetensors").symlink_to(Path(model).resolve())
        self.log = open(self.path / "log", "w+", encoding="utf-8")
        command = [self.program, "up", "--endpoint", self.endpoint, "--models", str(models)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, text=True
        )

    def __enter__(self):
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            self.log.seek(0)
            text = self.log.read()
            self.__exit__()
            raise SystemExit(f"overpaint up did not start: {line}{text}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()

    def make(self, task, *arguments, **options):
        """Runs `overpaint TASK`; the picture [3,h,w] in -1..1."""
        out = self.path / "out.png"
        command = [self.program, task, *arguments, "--output", str(out)]
        command += ["--endpoint", self.endpoint, "--rng", "cpu"]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        picture = read_picture(out)
        out.unlink()
        return picture


def read_picture(path):
    """[3,h,w] in -1..1"""
    pixels = np.array(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1
