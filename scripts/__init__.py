"""What the Makefile and the end-to-end tests run."""
