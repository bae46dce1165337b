"""The formats in which a trained network is exported, by name."""

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path

from mgajax.interop import onnx_file, orbax_folder, safetensors_file, stablehlo_file, torch_file
from mgajax.interop.network import Network, OutputFunction


@dataclasses.dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
      suffix: of its files.
      packages: what writing and checking it imports beside mgajax's own dependencies.
      extra: the optional dependencies that bring them.
      write: makes the file (or folder).
      load: the written file's answer; takes from the network only what the file lacks.
      usage: how to use it, Python with STEM for the file's name without suffix.
    """

    suffix: str
    packages: tuple[str, ...]
    extra: str
    write: Callable[[Network, Path], None]
    load: Callable[[Network, Path], OutputFunction]
    usage: str

    @property
    def missing(self) -> list[str]:
        """Those of its packages that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]


FORMATS: dict[str, Format] = {
    "stablehlo": Format(
        suffix=".stablehlo",
        packages=("flatbuffers",),
        extra="export",
        write=stablehlo_file.write,
        load=stablehlo_file.load,
        usage="""\
import jax, pathlib  # jax and flatbuffers are all it needs
network = jax.export.deserialize(bytearray(pathlib.Path("STEM.stablehlo").read_bytes()))
outputs = network.call(images)""",
    ),
    "onnx": Format(
        suffix=".onnx",
        packages=("onnx", "onnxruntime"),
        extra="export",
        write=onnx_file.write,
        load=onnx_file.load,
        usage="""\
import onnxruntime
session = onnxruntime.InferenceSession("STEM.onnx")
logits, probabilities = session.run(["logits", "probabilities"], {"images": images})""",
    ),
    "safetensors": Format(
        suffix=".safetensors",
        packages=("safetensors",),
        extra="export",
        write=safetensors_file.write,
        load=safetensors_file.load,
        usage="""\
import flax, safetensors.numpy
arrays = safetensors.numpy.load_file("STEM.safetensors")
variables = flax.traverse_util.unflatten_dict(arrays, sep="/")  # for mgajax.models.create(...).apply""",
    ),
    "torch": Format(
        suffix=".pt",
        packages=("torch",),
        extra="peer",
        write=torch_file.write,
        load=torch_file.load,
        usage="""\
import torch  # images as [b, 1, h, w]; names are those of the public PyTorch definition
network.load_state_dict(torch.load("STEM.pt", weights_only=True)["state_dict"])""",
    ),
    "orbax": Format(
        suffix=".orbax",
        packages=(),
        extra="",
        write=orbax_folder.write,
        load=orbax_folder.load,
        usage="""\
import orbax.checkpoint, pathlib
folder = pathlib.Path("STEM.orbax").resolve()
variables = orbax.checkpoint.StandardCheckpointer().restore(folder)  # for mgajax.models.create(...).apply""",
    ),
}
"""By the names that `mgajax export --format` takes."""
