"""Pages, figures and tables of runs, experiments and data sets."""
