"""Evidence as values: leaves, trees, manifests, signatures, proofs. Nothing is read or written.

What it promises, in the words of the manifest: it detects any change after the evidence was made;
it says nothing about whether the data was right before.
"""
