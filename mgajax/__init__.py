"""mgajax: mask-guided attention for COVID-19 diagnosis on chest CT, in JAX/Flax."""

__version__ = "0.2.0"
