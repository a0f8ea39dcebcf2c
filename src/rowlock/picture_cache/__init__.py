"""Decoded pixels on disk, so that later epochs need not decode: never believed unchecked, never needed.

Modules: ``folder`` (who may own it, which files are ours), ``identity`` (when is a picture the same), ``segment``
(files of records), ``places`` (where a record is, in 16 bytes), ``entries`` (all records that are here), ``recall``
(records that were read before), ``adding`` (what is written, and what is done when a disk fails), ``cache`` (all
together). Why it is built like this: ``docs/adr/0017``.
"""
