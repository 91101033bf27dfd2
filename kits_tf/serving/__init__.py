"""A model elsewhere than where it was trained.

saved_model, metadata, extra, model_card, warmup, versions   the SavedModel: written, described, found and called again
client/                                                       a model on a server
server/                                                       the development server
messages, tensors, credentials                                what clients and servers speak
"""
