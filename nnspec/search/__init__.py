"""Finding a clause by what people type: the documents and the words, for the site and for the terminal."""
