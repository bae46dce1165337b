"""Files of pictures, from bytes or a path to pixels with their geometry and unit.

This room knows no archive, no data set and no network. Every DICOM slice, NIfTI volume and picture is
read here, so that a file means the same to all other rooms.
"""
