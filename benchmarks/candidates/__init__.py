"""Ways from paths of pictures to batches, each as its documentation shows, all with the same result."""
