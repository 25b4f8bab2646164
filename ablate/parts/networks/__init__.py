"""Networks by `model.arch`: one file each."""
