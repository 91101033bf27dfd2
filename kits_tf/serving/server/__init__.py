"""The development server: one service, behind gRPC and REST, of the versions in a folder."""
