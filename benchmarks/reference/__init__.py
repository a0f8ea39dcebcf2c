"""The floors that the benchmarks are measured against."""
