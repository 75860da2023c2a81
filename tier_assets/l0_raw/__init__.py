"""L0: raw bytes, traceable. Readers, registration of files, demo corpora."""
