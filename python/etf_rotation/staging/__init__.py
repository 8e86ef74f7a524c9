"""Read and check the raw files, the seeds and the calendar."""
