"""L3: records that a language model wrote or edited from selected documents, each verified against its source."""
