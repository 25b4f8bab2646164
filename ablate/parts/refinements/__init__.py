"""Changes of the training procedure and of the network, on or off by their settings: one file each."""
