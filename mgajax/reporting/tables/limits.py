"""What no network here may be used for, as every card of one says it."""

NOTICE = "Research use only. Not a medical device."

LIMITS = (
    "Not for diagnosis, triage or any other decision about a patient. No regulator has seen it.",
    "It answers to every picture, also to one that is no chest CT, of another window, or of a disease "
    "that it has never seen. Slices must be prepared exactly as described above.",
    "The results hold for the data named above. In sets collected from several archives the archive "
    "often goes with the class, and a network may learn the archive: expect worse elsewhere, and look "
    "at the results by source and at mgajax audit.",
    "Probabilities are those of the training data's mix of classes, not of a clinic's.",
)
