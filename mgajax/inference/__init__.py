"""A trained run applied to pictures that it was not trained on."""
