"""`mgajax experiment real`: both steps of the paper on few real slices, cross-validated by patient."""
