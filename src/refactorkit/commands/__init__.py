"""One use case a file: a request in, a result out."""
