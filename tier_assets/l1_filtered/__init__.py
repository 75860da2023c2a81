"""L1: text extracted from raw bytes, cleaned, named by language, judged by published rules, without duplicates."""
