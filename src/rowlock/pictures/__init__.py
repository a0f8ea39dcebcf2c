"""Files to pixels: what a file is, how large, its strict decoding, and its resize into a batch."""
