"""Models outside the run that trained them: exported, served, and asked on another machine.

saved_model, metadata, assets, model_card   an exported model: written, described and loaded again
models                                      a model by its path: exported, or trained runs
remote_model, connection                    a model on a server
server/, http_server                        the development server
messages, tensors, credentials              what clients and servers exchange
"""
