"""Where adapters come from: folders, and stores in the network, real ones on this machine."""
