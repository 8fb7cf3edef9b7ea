"""The bin's flash cut at every single operation, worn, and filled. See __main__.py."""
