"""The same networks, losses and steps in PyTorch, timed beside ours by `benchmark step --peer torch`.

Own definitions after our Flax modules, with the parameter names of `mgajax.interop.to_torch`. They
run in a process of their own, `python -m mgajax.benchmark.torch_baseline.worker`, which may be another
interpreter: nothing here imports JAX. Of all this the rest of the package imports `job`, which needs no PyTorch,
and, to check the state dicts that it exports where PyTorch is installed, `registry`.
"""
