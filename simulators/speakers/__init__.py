"""Simulated devices that speak by themselves or answer: a file is a simulator of its name."""
