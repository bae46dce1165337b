"""`mgajax report`: runs, experiments and explanations as one static site."""
