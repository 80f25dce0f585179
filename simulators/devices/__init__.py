"""The simulated devices: a file is a simulator of its name. simulators/README.md says how to write one."""
