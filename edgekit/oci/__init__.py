"""OCI image layouts: the names, media types and JSON of a bundle as a container registry sees it."""
