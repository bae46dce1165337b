"""Files of pictures, from bytes or a path to pixels with their geometry and unit.

What stands here knows of no archive, no data set and no network: whoever reads a DICOM slice, a NIfTI
volume or a picture reads it here, so that one file means one thing to all of them.
"""
