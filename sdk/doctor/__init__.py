"""The probes behind `mm-edge doctor` and `mm-edge devices`: what this machine has, lacks, and needs."""
