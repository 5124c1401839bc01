"""What measures this project rather than a user's model; not in the wheel.

Run from the root of the project: ``python -m benchmarks.NAME --help``.
"""
