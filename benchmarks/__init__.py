"""Times clipsim beside the script that people write by hand; `make bench`."""
