"""One file per role: the prompt, the parser of its reply, and one async step. Shared by all methods."""
