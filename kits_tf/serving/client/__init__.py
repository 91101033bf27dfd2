"""A model on a server, as a library: whole volumes, or windows merged here, over gRPC or REST."""
