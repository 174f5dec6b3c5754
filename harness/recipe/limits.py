"""How large a recipe and its files may be."""

MAX_FILE_SIZE = 1024 * 1024  # bytes of one file that the harness reads
MAX_FILES = 10_000  # files of one commit
MAX_TREE_SIZE = 100 * 1024**2  # bytes of all files of one commit
