"""What a module does that a well-behaved one does not, in sentences.

Every function takes what it needs and returns a list of sentences, empty if all is in order. A sentence names
the attribute with its path, the cause and the cure. The rules hold such lists against [].
"""
