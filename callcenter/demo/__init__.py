"""The demo: everything on this machine, invented people, a telephone network of its own, no account."""
