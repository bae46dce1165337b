"""One table of chips: peaks, memory, bandwidth and clocks, each with its source."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class GpuFacts:
    """What XLA must know of a card to compile for it without one.

    Attributes:
      description: JAX's `device_kind`.
      capability: compute capability, major and minor.
      cores: streaming multiprocessors.
      fpus_per_core: float32 units of one.
      clock_ghz: highest.
      l2_bytes: second-level cache.
      shared_bytes: shared memory of a core.
      shared_bytes_of_block: of which one block may ask for so much.
    """

    description: str
    capability: tuple[int, int]
    cores: int
    fpus_per_core: int
    clock_ghz: float
    l2_bytes: int
    shared_bytes: int
    shared_bytes_of_block: int


@dataclasses.dataclass(frozen=True)
class Chip:
    """One line of the table.

    Attributes:
      kind: part of JAX's `device_kind`.
      bfloat16: highest rate of matrix products in 10¹² operations a second, without sparsity.
      float32: likewise for float32 as XLA computes it by default: by TF32 on GPUs, in one bfloat16
        pass on TPUs.
      arithmetic: that type.
      source: who says so.
      target: name under which it can be compiled for; "" if it cannot.
      memory_bytes: what a program may use of it; 0 if not stated.
      bandwidth: bytes a second to and from that memory; 0 if not stated.
      clock_hz: what the compiler's `estimated_cycles` count; None where no clock is published or the
        compiler writes no cycles.
      gpu: None for a TPU.
    """

    kind: str
    bfloat16: float
    float32: float
    arithmetic: str
    source: str
    target: str = ""
    memory_bytes: int = 0
    bandwidth: float = 0.0
    clock_hz: float | None = None
    gpu: GpuFacts | None = None

    def peak(self, dtype: str) -> float:
        """Operations a second for a compute type, "float32" or "bfloat16"."""
        return 1e12 * (self.bfloat16 if dtype == "bfloat16" else self.float32)


_HOPPER = "NVIDIA data sheet, dense, SXM; XLA's description of the card"
_AMPERE = "NVIDIA A100 data sheet, dense; XLA's description of the card"
_CLOUD = "Google Cloud TPU documentation, per chip"
_V5E = f"{_CLOUD}; the clock is what four 128×128 matrix units need for 197 TFLOP/s"
_V6E = f"{_CLOUD}; no clock is published"
_GIB = 2**30


def _hopper(description: str) -> GpuFacts:
    return GpuFacts(
        description=description,
        capability=(9, 0),
        cores=132,
        fpus_per_core=128,
        clock_ghz=1.98,
        l2_bytes=50 * 2**20,
        shared_bytes=228 * 2**10,
        shared_bytes_of_block=227 * 2**10,
    )


_A100 = GpuFacts(
    description="NVIDIA A100-SXM4-80GB",
    capability=(8, 0),
    cores=108,
    fpus_per_core=64,
    clock_ghz=1.41,
    l2_bytes=40 * 2**20,
    shared_bytes=164 * 2**10,
    shared_bytes_of_block=163 * 2**10,
)

CHIPS = (
    Chip("H100 PCIe", 756.0, 378.0, "tf32", "NVIDIA H100 data sheet, dense, PCIe"),
    Chip(
        "H100",
        989.4,
        494.7,
        "tf32",
        _HOPPER,
        target="h100",
        memory_bytes=84_942_979_072,
        bandwidth=3.35232e12,
        gpu=_hopper("NVIDIA H100 80GB HBM3"),
    ),
    Chip(
        "H200",
        989.4,
        494.7,
        "tf32",
        _HOPPER,
        target="h200",
        memory_bytes=151_397_597_184,
        bandwidth=4.8e12,
        gpu=_hopper("NVIDIA H200 141GB HBM3e"),
    ),
    Chip(
        "A100",
        312.0,
        156.0,
        "tf32",
        _AMPERE,
        target="a100",
        memory_bytes=85_100_068_864,
        bandwidth=2.03904e12,
        gpu=_A100,
    ),
    Chip("TPU v4", 275.0, 275.0, "bfloat16", _CLOUD),
    Chip(
        "TPU v5 lite",
        197.0,
        197.0,
        "bfloat16",
        _V5E,
        target="v5e",
        memory_bytes=int(15.75 * _GIB),
        bandwidth=819e9,
        clock_hz=1.5e9,
    ),
    Chip("TPU v5e", 197.0, 197.0, "bfloat16", _CLOUD),
    Chip(
        "TPU v6 lite",
        918.0,
        918.0,
        "bfloat16",
        _V6E,
        target="v6e",
        memory_bytes=int(31.25 * _GIB),
        bandwidth=1638e9,
    ),
)
"""The first line that matches counts. A TPU's compiler keeps 0.25 (v5e) or 0.75 GiB (v6e) of the
memory for itself."""


def chip_of(device_kind: str) -> Chip | None:
    """The line of a device by JAX's name of it; None if the table has none."""
    return next((chip for chip in CHIPS if chip.kind.lower() in device_kind.lower()), None)


@dataclasses.dataclass(frozen=True)
class Peak:
    """A device's highest rate of matrix products, in 10¹² operations a second.

    Attributes:
      tflops: without sparsity, for the type that the products are computed in.
      arithmetic: that type.
      source: who says so.
    """

    tflops: float
    arithmetic: str
    source: str


def peak_of(device_kind: str, *, dtype: str, stated: float | None) -> Peak | None:
    """The peak of a device under a compute type: as stated, from the table, or None if unknown.

    Args:
      device_kind: JAX's name of the device.
      dtype: "float32" or "bfloat16".
      stated: a rate in TFLOP/s that goes before the table's.
    """
    if stated is not None:
        return Peak(stated, dtype, "--peak_tflops")
    chip = chip_of(device_kind)
    if chip is None:
        return None
    if dtype == "bfloat16":
        return Peak(chip.bfloat16, dtype, chip.source)
    return Peak(chip.float32, chip.arithmetic, chip.source)
