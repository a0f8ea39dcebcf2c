"""How rows lie on disk, `raw`, `csr` or `packed`: their readers, writers and kernels, and which of them suits the data.

Nothing outside of this room and `changing` knows. `base` says what a layout must do, `registry` has them by name.

Imports commit, disk.
"""
