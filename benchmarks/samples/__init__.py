"""Pictures that the benchmarks are made of: photographs, formats, damage, awkward ones."""
