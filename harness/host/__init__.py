"""The host: processes, waiting, locks, signals, control groups, resources."""
