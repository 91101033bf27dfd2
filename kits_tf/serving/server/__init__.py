"""The development server: the newest version in a model's folder, behind gRPC and REST.

model_folder    the versions of the model
service         requests: checks, a bounded queue, computation
signatures      the signatures of a version, as a message
metrics         counters of requests and computation
grpc_service    TensorFlow Serving's API over gRPC
rest_service    TensorFlow Serving's API over REST, health and metrics
server          all of it on two ports
"""
