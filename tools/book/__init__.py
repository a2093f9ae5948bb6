"""The steps from the lessons and the documents to the book: static pages that need no server, kernel or network."""
