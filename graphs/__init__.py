"""One file per published method: its parameters, its state, its routing and its wiring. Found by scanning this folder."""
