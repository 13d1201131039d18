"""Published weights: which there are, where they are kept, and how they are read without their framework."""
