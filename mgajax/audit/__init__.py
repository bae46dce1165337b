"""Proof that a data set is clean: patients, copies, labels, damage, and what tells the classes."""
