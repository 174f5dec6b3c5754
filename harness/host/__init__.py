"""The machine: processes, waiting, locks, signals, control groups, resources."""
