"""The checks behind `mm-edge doctor` and `mm-edge devices`: hardware, drivers and packages of this machine."""
