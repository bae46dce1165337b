"""Why a classifier said so: attributions that add up, and how well they find the lesions."""
