"""A model elsewhere than where it was trained.

saved_model, metadata, extra, model_card, warmup, versions   the SavedModel: written, described, found and called again
client, connection, patches, grpc_ and rest_connection        a model on a server
server/                                                       the development server
messages, tensors, credentials                                what clients and servers speak
"""
