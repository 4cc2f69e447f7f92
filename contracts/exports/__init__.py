"""What is generated from the models and the manifest: schemas, the AsyncAPI document, Terraform's input.

Nothing here is imported by a running service; ``scripts/contracts.py`` is its only user.
"""
