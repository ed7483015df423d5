"""The same network in the modules of other packages, with our weights."""
