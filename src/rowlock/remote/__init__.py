"""Pictures that lie on servers: what is allowed, how they are fetched ahead, and what is theirs to fail."""
