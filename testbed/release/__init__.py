"""What a release consists of: images for a registry, and the package of everything else."""
