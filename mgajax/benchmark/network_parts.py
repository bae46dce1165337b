"""The part of the network that an operation of the compiled program belongs to, by its path."""

import re

OTHER = "other"
"""Operations that the compiler added, and those outside of every part."""
SCOPES = ("augmentation", "optimiser", "loss")
"""Parts of a step that are no module; the step names them."""
_MODULE_OF_PART = re.compile(r"_(?:block|layer|module|branch)[0-9]+$")
_NORM = re.compile(r"^(?:\w*norm\d*|\w+_bn)$")
_TRANSFORM = re.compile(r"^[\w.]+\((.*)\)$")
_STRUCTURE = {"while", "body", "cond", "scan", "closed_call", "core_call", "shard_map", "pmap"}
_STRUCTURE |= {"checkpoint", "remat", "rematted_computation", "custom_vjp_call", "custom_jvp_call"}


def part_of(op_name: str, *, model: str) -> str:
    """The part of a network or step, as "stage1", "stem norm", "max pool", "augmentation" or `OTHER`.

    Normalisation is apart from what it follows, pooling by maxima from the stem.

    Args:
      op_name: the path that JAX gives an operation: `jit(step)/jvp(ResNet)/stem/conv/add`.
      model: name of the network's class.
    """
    if "max_pool" in op_name:
        return "max pool"
    names = _names(op_name)
    for position, name in enumerate(names):
        if name == model:
            inside = [inner for inner in names[position + 1 :] if inner != model]
            return _module(inside) if inside else OTHER
    return next((name for name in names if name in SCOPES), OTHER)


def is_backward(op_name: str) -> bool:
    """Whether an operation belongs to the backward pass, or is computed once more for it."""
    return "transpose(" in op_name or "rematted_computation" in op_name


def _module(names: list[str]) -> str:
    """`names` are the modules from the outermost in, then the operation."""
    *modules, _ = names
    if not modules:
        return OTHER
    outer = modules[0]
    if outer == "backbone" and len(modules) > 1:
        outer = modules[1]
    norm = any(_NORM.match(module) for module in modules)
    outer = _MODULE_OF_PART.sub("", outer).removesuffix("_bn")
    outer = re.sub(r"^(conv\d)_\d", r"\1", outer)  # the stages of SegNet
    return f"{outer} norm" if norm and outer != "norm" else outer


def _names(op_name: str) -> list[str]:
    """The path's names without transformations, wrappers and methods."""
    names = []
    for step in _split(op_name):
        name = step
        while inner := _TRANSFORM.match(name):
            # Functions that were jitted by themselves are no modules.
            name = "" if name.startswith(("jit(", "pjit(")) else inner[1]
            if "/" in name:
                names += _names(name)
                name = ""
        if name and name not in _STRUCTURE and "." not in name:
            names.append(name)
    return names


def _split(path: str) -> list[str]:
    """Split a path at the slashes outside of parentheses."""
    steps, depth = [""], 0
    for letter in path:
        depth += (letter == "(") - (letter == ")")
        if letter == "/" and depth == 0:
            steps.append("")
        else:
            steps[-1] += letter
    return steps
