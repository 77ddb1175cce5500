"""modelfleet: a Kubernetes operator for fleets of devices that run an object-detection model."""
