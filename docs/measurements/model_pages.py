"""One page a network for `docs/reference/models`, from the code and from committed results.

    python docs/measurements/model_pages.py

Parameters come from the network, memory from `compile_networks_*.json`, what it reached from
`docs/results`. A test compares the committed pages with what this writes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mgajax import config, models
from mgajax.models.registry import CLASSIFIERS
from mgajax.reporting.results_in_text import results_table

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "reference" / "models"
TABLES = {
    "table4": "COVID-19 against the rest",
    "table3": "Lesions, all pixels pooled",
}
"""By experiment, the table in which a network is a row."""

BUDGETS = {
    "table4": "25 epochs at 64², three seeds",
    "table3": "432 steps at 96² from random weights, HMSANet with its W18 trunk",
}

CHIPS = {"h100": "H100, 80 GB", "v5e": "TPU v5e, 16 GB"}
TORCHVISION = "torchvision (BSD 3-Clause)"
NO_WEIGHTS = "None are published under names that are known here; it learns from drawn weights."


@dataclass(frozen=True)
class Model:
    """What no file says of a network.

    Attributes:
      title: as in the paper's tables.
      text: what it is.
      paper: who described it first.
      follows: whose names and numbers it follows, with the licence.
      weights: what `config.init_from` takes.
      experiment: the experiment in which it is a row; "" for none.
      configuration: a file of `configs/`; "" for none.
    """

    title: str
    text: str
    paper: str
    follows: str
    weights: str
    experiment: str
    configuration: str


def _torchvision(file: str) -> str:
    return (
        f"torchvision's, `{file}`: PyTorch's names are known. The first layer is summed over its "
        "colours; the last one, for 1,000 classes, is drawn anew."
    )


RESNET = "He et al. 2016, Deep Residual Learning for Image Recognition"
CBAM = "Woo et al. 2018, CBAM: Convolutional Block Attention Module"

MODELS: Mapping[str, Model] = {
    "resnet18": Model(
        "ResNet18",
        "The plain classifier of Table 4.",
        RESNET,
        TORCHVISION,
        _torchvision("resnet18-f37072fd.pth"),
        "table4",
        "configs/classification/resnet18.py",
    ),
    "resnet50": Model(
        "ResNet50",
        "A deeper classifier of Table 4, with bottleneck blocks.",
        RESNET,
        TORCHVISION,
        _torchvision("resnet50-11ad3fa6.pth"),
        "table4",
        "configs/classification/resnet50.py",
    ),
    "densenet121": Model(
        "DenseNet121",
        "A classifier of Table 4 whose layers see all layers before them.",
        "Huang et al. 2017, Densely Connected Convolutional Networks",
        TORCHVISION,
        _torchvision("densenet121-a639ec97.pth"),
        "table4",
        "configs/classification/densenet121.py",
    ),
    "resnet18_cbam": Model(
        "ResNet18 + CBAM",
        "ResNet18 with channel and spatial attention in stages 1 to 3. Nothing guides the attention.",
        CBAM,
        "the paper's Eq. 2, or Jongchan/attention-module (MIT) with `flavour=official`",
        _torchvision("resnet18-f37072fd.pth") + " The attention, which the file lacks, is drawn.",
        "table4",
        "configs/classification/resnet18_cbam.py",
    ),
    "mga_resnet18": Model(
        "ResNet18 + CBAM + MGA",
        "The proposed model: the lesion mask guides the spatial attention of one stage. The network "
        "is that of `resnet18_cbam`; the loss differs. `configs/classification/mga_lungs_resnet18.py` "
        "guides a second map by the lungs.",
        "Maftouni et al., the paper reimplemented here",
        "the paper, whose code is not published",
        _torchvision("resnet18-f37072fd.pth") + " The attention, which the file lacks, is drawn.",
        "table4",
        "configs/classification/mga_resnet18.py",
    ),
    "hmsanet": Model(
        "HMSANet",
        "The segmenter that the paper adopts: HRNet with object context, at several scales, with an "
        "attention that says pixel by pixel how much each scale is to be trusted. Trunks: "
        "`hrnet_w48` (the paper's), `hrnet_w32`, `hrnet_w18`, `hrnet_w18_small`, `hrnet_tiny`.",
        "Tao et al. 2020, Hierarchical Multi-Scale Attention for Semantic Segmentation",
        "NVIDIA/semantic-segmentation (its licence has changed between releases) and "
        "HRNet/HRNet-Semantic-Segmentation (MIT)",
        "NVIDIA's HMSANet by its names, or the ImageNet HRNet of its authors for the trunk alone. "
        "Look at the licence that comes with the file.",
        "table3",
        "configs/segmentation/hmsanet.py",
    ),
    "unet": Model(
        "U-Net",
        "A segmenter of Table 3.",
        "Ronneberger et al. 2015, U-Net",
        "milesial/Pytorch-UNet",
        "A PyTorch file of milesial/Pytorch-UNet goes through `interop.from_torch` in Python; "
        "`init_from` takes our own files.",
        "table3",
        "configs/segmentation/unet.py",
    ),
    "segnet": Model(
        "SegNet",
        "A segmenter of Table 3 that remembers where its pools had their maximum.",
        "Badrinarayanan et al. 2017, SegNet",
        "the layer names of its authors' Caffe files",
        NO_WEIGHTS,
        "table3",
        "configs/segmentation/segnet.py",
    ),
    "deeplabv3_resnet50": Model(
        "DeepLabV3 (ResNet50)",
        "A segmenter of Table 3: a ResNet with holes in its filters, and a pyramid of them on top.",
        "Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image Segmentation",
        TORCHVISION,
        _torchvision("resnet50-11ad3fa6.pth") + " They become the trunk.",
        "table3",
        "configs/segmentation/deeplabv3.py",
    ),
    "deeplabv3_resnet101": Model(
        "DeepLabV3 (ResNet101)",
        "The same on a deeper trunk; no table of the paper has it.",
        "Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image Segmentation",
        TORCHVISION,
        _torchvision("resnet101-63fe2227.pth") + " They become the trunk.",
        "",
        "",
    ),
}


def main() -> None:
    """Write every page, and the index."""
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")
        print(PAGES / name)


def pages() -> dict[str, str]:
    """The text of every page by its file's name."""
    texts = {f"{name}.md": _page(name, model) for name, model in MODELS.items()}
    return texts | {"index.md": _index()}


def _index() -> str:
    rows = "\n".join(
        f"| [{model.title}]({name}.md) | `{name}` | {_task(name)} | {_parameters(name)} |"
        for name, model in MODELS.items()
    )
    names = "\n".join(MODELS)
    return (
        "# Models\n\nOne page a network: source, parameters, memory, what it reached here, and how to "
        "load published weights.\nWritten by `python docs/measurements/model_pages.py`.\n\n"
        f"| network | name | task | parameters |\n|---|---|---|--:|\n{rows}\n\n"
        f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    )


def _task(name: str) -> str:
    return "classification" if name in CLASSIFIERS else "segmentation"


def _parameters(name: str) -> str:
    classes = 3 if name in CLASSIFIERS else 2
    network = models.create(name, num_classes=classes)
    return f"{models.count(models.variable_shapes(network, image_size=64, channels=1)):,}"


def _page(name: str, model: Model) -> str:
    return "\n".join(
        [
            f"# {model.title}\n",
            f"{model.text}\n",
            "| | |\n|---|---|",
            f"| name | `{name}` |",
            f"| described by | {model.paper} |",
            f"| follows | {model.follows} |",
            f"| parameters | {_parameters(name)} (grey slices, {_classes(name)}) |",
            *_configuration(model),
            "\n## Options\n",
            *_options(name),
            "\n## Memory\n",
            *_memory(name),
            "\n## What it reached here\n",
            *_results(model),
            "\n## Published weights\n",
            f"{model.weights}\n",
            *_loading(model),
        ]
    )


def _classes(name: str) -> str:
    return "three classes" if name in CLASSIFIERS else "lesion and background"


def _configuration(model: Model) -> Iterator[str]:
    if model.configuration:
        side = config.load(ROOT / model.configuration).preparation.image_size
        yield f"| configuration | `{model.configuration}`, slices of {side} × {side} |"


def _options(name: str) -> Iterator[str]:
    yield "Each is a key, `config.model.options.NAME`, and an argument of `models.create`.\n"
    yield "| option | default |\n|---|---|"
    for key, value in models.options(name).items():
        if key not in ("dtype", "axis_name"):
            yield f"| `{key}` | `{value}` |"


def _memory(name: str) -> Iterator[str]:
    rows = [row for target in CHIPS for row in _compiled(name, target=target)]
    if not rows:
        yield "Not compiled for other devices yet: `mgajax benchmark compile` says what fits."
        return
    yield (
        "What XLA's compiler plans for one train step; nothing was run. `fits` is the largest batch a "
        "device that the plan leaves room for.\n"
    )
    yield "| device | type | slices | batch | needs | fits |\n|---|---|--:|--:|--:|--:|"
    yield from rows
    yield "\nMade by `docs/measurements/compile_networks.py`."


def _compiled(name: str, *, target: str) -> Iterator[str]:
    path = ROOT / "docs" / "measurements" / f"compile_networks_{target}.json"
    for report in json.loads(path.read_text(encoding="utf-8")).values():
        step: dict[str, Any] = report.get("train", {})
        if report["model"] == name and "memory" in step:
            memory, side = step["memory"], report["image_size"]
            recomputed = report["options"].get("remat", "none") != "none"
            device = CHIPS[target] + (", recomputing (`remat`)" if recomputed else "")
            needed = f"{memory['needed_bytes'] / 1e9:.1f} GB"
            fits = f"{memory['batch_that_fits']:,}"
            cells = (device, report["dtype"], f"{side}²", report["batch_size"], needed, fits)
            yield f"| {' | '.join(map(str, cells))} |"


def _results(model: Model) -> Iterator[str]:
    if not model.experiment:
        yield "It is in no experiment, and was not trained here."
        return
    path = ROOT / "docs" / "results" / model.experiment / "results.json"
    table = results_table(path, TABLES[model.experiment]).splitlines()
    row = next(place for place, line in enumerate(table) if line.startswith(f"| {model.title} |"))
    yield (
        "On drawn slices, with 95 % intervals over patients, in percent. The paper's row is on real "
        "slices: it is no target here.\n"
    )
    yield "\n".join([*table[:2], *table[row : row + 2]])
    place = f"[{model.experiment}](../../results/{model.experiment}/results.md)"
    yield f"\n{TABLES[model.experiment]}; {BUDGETS[model.experiment]}. All networks: {place}."


def _loading(model: Model) -> Iterator[str]:
    if model.configuration and model.weights != NO_WEIGHTS:
        yield (
            f"```bash\nmgajax train --config {model.configuration} --workdir runs/mine \\\n"
            "    --data DIR --config.init_from=FILE\n```\n"
        )
        yield "What became of every array stands in `runs/mine/init_from.txt`."
    yield "\nAll that can be loaded: [Export and import](../../how-to/export.md#in).\n"


if __name__ == "__main__":
    main()
