"""What the library costs, side by side with its peers: run `python -m bench`."""
