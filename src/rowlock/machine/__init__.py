"""What `rowlock info` says: versions, processor, memory, codecs, and versions that are known to be bad."""

from rowlock.machine.report import machine_facts, machine_lines

__all__ = ["machine_facts", "machine_lines"]
