"""Proof that a data set is clean: patients, copies, labels, damage, and shortcuts to the class."""
