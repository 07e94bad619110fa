"""The web page: one HTML file, its style and a few ES modules, served as they are. No build step, no dependencies.

It speaks with the HTTP API only, as any other client does. Whatever users wrote reaches the document as text.
"""
